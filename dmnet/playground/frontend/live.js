/**
 * Live figures: what all of them share. A figure is one module, which ends with
 *
 *     export default liveFigure("name", (data, live) => ({ start, elements, draw, words }));
 *
 * and a cell of a notebook shows it by `LiveFigure("name", data, still, alt)`, see dmnet/playground/live.py. The figure
 * holds its whole state as numbers and texts by name. It calls `live.set(changes)` when the reader moves something; the
 * base then draws once in the next frame, tells a screen reader once the reader pauses, and keeps the state in the
 * page's address.
 *
 * @typedef {Record<string, any>} LiveState values are numbers and texts
 * @typedef {object} Live
 * @property {LiveState} state
 * @property {(changes: LiveState) => void} set
 * @property {() => Promise<any>} later gives the data that a page of the book does not bring along
 *
 * @typedef {object} Parts what a figure is
 * @property {LiveState} start
 * @property {HTMLElement[]} elements
 * @property {(state: any) => void} draw shows a state
 * @property {(state: any) => string} words the same for a screen reader
 * @property {(state: any) => boolean} known whether a state from an address makes sense
 */
import { make, paused, say } from "./elements.js";

const MARK = "#live=";

/**
 * Return a page's fragment for a state, e.g. `#live=digits&w=2`; what is as at the start is left out.
 * @param {string} name
 * @param {LiveState} state
 * @param {LiveState} start
 */
export function toHash(name, state, start) {
  const changed = Object.entries(state).filter(([key, value]) => value !== start[key]);
  return `${MARK}${name}&${new URLSearchParams(changed.map(([key, value]) => [key, String(value)]))}`;
}

/**
 * Return the state in a fragment; what is missing, or no number where one belongs, is as at the start.
 * @param {string} hash
 * @param {string} name
 * @param {LiveState} start
 * @returns {LiveState}
 */
export function fromHash(hash, name, start) {
  const mark = `${MARK}${name}&`;
  const given = new URLSearchParams(hash.startsWith(mark) ? hash.slice(mark.length) : "");
  return Object.fromEntries(Object.entries(start).map(([key, value]) => {
    const text = given.get(key);
    if (text === null) return [key, value];
    if (typeof value === "string") return [key, text];
    return [key, text.trim() && Number.isFinite(Number(text)) ? Number(text) : value];
  }));
}

/**
 * Return what a notebook (`render`, as an anywidget) and a page of the book (`fill`) ask for.
 * @param {string} name
 * @param {(data: any, live: Live) => Parts} build
 */
export function liveFigure(name, build) {
  /**
   * @param {HTMLElement} place
   * @param {string} text JSON
   * @param {boolean} address whether the page's address holds the state
   * @param {() => any} later
   */
  const show = (place, text, address, later) => {
    let frame = 0;
    const [announce, remember] = [paused(500), paused(200)];
    const redraw = () => {
      frame = 0;
      parts.draw(live.state);
    };
    /** @type {Live} */
    const live = {
      state: {},
      set: (changes) => {
        Object.assign(live.state, changes);
        frame ||= requestAnimationFrame(redraw);
        announce(() => say(aloud, parts.words(live.state)));
        if (address) remember(() => history.replaceState(history.state, "", toHash(name, live.state, parts.start)));
      },
      later: async () => later(),
    };
    const parts = build(JSON.parse(text), live);
    const held = address ? fromHash(location.hash, name, parts.start) : { ...parts.start };
    live.state = parts.known(held) ? held : { ...parts.start };
    const aloud = make("p.aloud", { role: "status", "aria-live": "polite" });
    redraw(); // if something is wrong, the still picture stays
    place.prepend(make(`section.dmnet-app.live.${name}`, { "aria-label": `Live figure: ${name}` }, ...parts.elements, aloud));
    Object.assign(place, { live }); // for the console, and for tests
  };
  return {
    render: (/** @type {{model: any, el: HTMLElement}} */ { model, el }) => show(el, model.get("data"), false, () => JSON.parse(model.get("later"))),
    fill: (/** @type {HTMLElement} */ place) => {
      const [now, more] = place.querySelectorAll("script");
      const later = async () => {
        const { file } = more.dataset; // where the build of the book has put it
        return file ? (await fetch(file)).json() : JSON.parse(more.text);
      };
      show(place, now.text, true, later);
    },
  };
}

// Numbers -------------------------------------------------------------------------------------------------

/**
 * Return an array that came as a text: small whole numbers, a letter each, 80 more than the number; of a run of
 * equal ones the letter and 256 more than its length.
 * @param {{shape: number[], text: string}} packed
 */
export function spelled({ shape, text }) {
  const letters = text.replace(/(.)([\u0100-\u07ff])/gs, (_, letter, times) => letter.repeat(times.charCodeAt(0) - 256));
  return { shape, values: Int8Array.from(letters, (letter) => letter.charCodeAt(0) - 80) };
}

// What is seen --------------------------------------------------------------------------------------------

/**
 * The names of classes, underlined in their colours; the background is none of them.
 * @param {string[]} names
 * @param {number[][]} palette
 */
export const makeLegend = (names, palette) =>
  make("p.hint", {}, ...names.slice(1).map((name, i) => make("span.key", { style: `--class: rgb(${palette[i + 1]})` }, name)));

/** @param {string} text what there is to be seen */
export const makeCanvas = (text) => make("canvas", { role: "img", "aria-label": text });

// What the reader takes hold of ---------------------------------------------------------------------------

/** @type {Record<string, number[]>} rows down, columns to the right */
export const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/**
 * A few choices side by side, of which one holds.
 * @param {string} label
 * @param {[string, string][]} options value and text
 * @param {(value: string) => void} change
 */
export function makeChoice(label, options, change) {
  const name = `live-${Math.random().toString(36).slice(2)}`;
  const inputs = options.map(([value]) => make("input", { type: "radio", name, value, onchange: () => change(value) }));
  const element = make("fieldset.choice", {}, make("legend", {}, label),
    ...options.map(([, text], i) => make("label", {}, inputs[i], make("span", {}, text))));
  const show = (/** @type {string | number} */ now) => inputs.forEach((input) => { input.checked = input.value === String(now); });
  return { element, show };
}


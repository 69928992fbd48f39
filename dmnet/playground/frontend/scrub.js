/**
 * A number in a sentence, which is dragged or typed: the same in every figure.
 */
import { onDrag } from "./drag.js";
import { make, number, paused, say, within } from "./elements.js";
import { ARROWS } from "./live.js";

/**
 * A number in a sentence that is dragged sideways, changed by the arrow keys, or typed. What is typed holds at once where it can; Enter, or a
 * pause, ends it, and Escape puts back what was there before. Of a number that cannot be taken it is said which one is. A finger that taps it
 * gets a field to type into, for that alone brings up a keyboard.
 * @param {string} label
 * @param {{min: number, max: number, step: number}} limits
 * @param {(value: number) => void} change
 */
export function makeScrub(label, { min, max, step }, change) {
  let [value, typed, touched] = [0, "", false];
  /** @type {number | null} what Escape puts back */
  let before = null;
  const [ended, hushed] = [paused(1500), paused(4000)];
  const told = make("small", { role: "status" });
  const tell = (/** @type {string} */ text) => {
    say(told, text);
    told.style.translate = "";
    told.style.translate = `${Math.min(0, document.documentElement.clientWidth - 8 - told.getBoundingClientRect().right)}px`; // all within the page
    if (text) told.scrollIntoView({ block: "nearest" });
    hushed(() => say(told, ""));
  };
  const nearest = (/** @type {number} */ next) => within(Math.round(next / step) * step, min, max);
  const take = (/** @type {number} */ next) => change(value = next);
  const give = (/** @type {number} */ next) => {
    const near = nearest(next);
    take(near);
    tell(Math.abs(next - near) < 1e-9 ? "" : `${next < min || next > max ? `between ${number(min)} and ${max}` : `in steps of ${step}`}; ${number(near)} taken`);
  };
  const write = () => {
    const text = typed.replace("-", "−") || number(value);
    say(element, text);
    element.style.borderBottomStyle = typed ? "solid" : "";
    element.setAttribute("aria-valuenow", value);
    element.setAttribute("aria-valuetext", text);
  };
  const end = () => {
    const next = typed === "-" ? -value : Number(typed || NaN);
    typed = "";
    if (Number.isFinite(next)) give(next); // a point alone is no number
    write();
  };
  const type = (/** @type {string} */ text) => {
    if (!/^-?(\d*\.?\d*|\d+\.?\d*e-?\d*)$/.test(text)) return;
    if (!typed || before === null) before = value;
    typed = text;
    const next = Number(typed || before);
    if (Math.abs(next - nearest(next)) < 1e-9) take(next); // else it may be the beginning of one
    write();
    if (field.hidden) ended(end); // there one types slowly, and the key that ends it is in sight
  };
  const keys = (/** @type {KeyboardEvent} */ { key, ctrlKey, metaKey, altKey }) => {
    const [down, right] = ARROWS[key] ?? [0, 0];
    if (ctrlKey || metaKey || altKey) return false;
    if (/^[\d.,e]$/i.test(key)) type(typed + key.toLowerCase().replace(",", "."));
    else if (key === "-") type(typed.endsWith("e") ? `${typed}-` : typed.startsWith("-") ? typed.slice(1) : `-${typed}`);
    else if (key === "Backspace" && typed) type(typed.slice(0, -1));
    else if (key === "Escape" && before !== null) {
      [typed, value, before] = ["", before, null];
      give(value);
      write();
    } else {
      const moves = down || right || key === "Home" || key === "End";
      if (!moves && (key !== "Enter" || before === null)) return false;
      if (moves) typed = "";
      else end();
      before = null;
      if (moves) give(key === "Home" ? min : key === "End" ? max : value + (right - down) * step);
    }
    return true;
  };
  const left = () => {
    end();
    before = null;
  };
  /** @type {HTMLInputElement} */
  const field = make("input.scrub", {
    type: "text", inputmode: min < 0 ? "text" : "decimal", enterkeyhint: "done", autocomplete: "off", "aria-label": label, hidden: true, // some decimal keyboards have no minus
    oninput: () => type(field.value.trim().toLowerCase().replace(",", ".").replace("−", "-")),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      keys(event);
      field.blur();
    },
    onblur: () => {
      left();
      [field.hidden, element.hidden] = [true, false];
    },
  });
  const element = make("span.scrub", {
    role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": min, "aria-valuemax": max,
    title: `${number(min)} to ${max}: drag sideways, or type; Escape puts it back`,
    onkeydown: (/** @type {KeyboardEvent} */ event) => keys(event) && event.preventDefault(),
    onpointerdown: (/** @type {PointerEvent} */ { pointerType }) => { touched = pointerType === "touch"; },
    onclick: () => {
      if (!touched) return;
      [field.hidden, field.value] = [false, number(value).replace("−", "-")];
      field.focus();
      field.select();
      element.hidden = true;
    },
    onblur: left,
  });
  onDrag(element, () => {
    const from = value;
    return (right) => give(from + Math.round(right / 10) * step);
  });
  const show = (/** @type {number} */ now) => {
    if (now !== value) say(told, ""); // Reset
    if (Math.abs(now - value) > 1e-9) {
      typed = ""; // a button takes the finger, but not always the field's focus
      field.blur();
    }
    value = now;
    write();
  };
  return { element: make("span.entry", {}, element, field, told), show };
}

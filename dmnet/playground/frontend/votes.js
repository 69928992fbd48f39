/**
 * One window for two questions: the reader drags its side, the coins vote, and the two curves grow.
 *
 * @typedef {[kind: string, yes: boolean, x: number, y: number]} Coin what it asks, the true answer, its pixel
 * @typedef {{width: number, height: number, values: Uint8Array}} Tiles
 */
import { unpacked } from "./bits.js";
import { onDrag } from "./drag.js";
import { make, makeButton, percent, say, within } from "./elements.js";
import { ARROWS, liveFigure } from "./live.js";
import { paintLabels } from "./paint.js";
import { draw } from "./shapes.js";

/** What the two kinds of coins ask of the tiles; the colours are those of "no" and of "yes". */
const ASKED = {
  ruby: { many: "rubies", answers: ["cool", "warm"], about: "side", colours: [[86, 140, 200], [226, 122, 72]], key: "blue is cool, orange warm" },
  jade: { many: "jades", answers: ["dark", "light"], about: "block", colours: [[70, 70, 70], [235, 230, 215]], key: "grey is dark, white light" },
};
const KINDS = /** @type {("ruby" | "jade")[]} */ (Object.keys(ASKED));
const [LEFT, RIGHT, TOP, BOTTOM] = [34, 346, 14, 222]; // of the curves, in a chart of 360 × 244

/**
 * Return the average of a map over a window around a pixel, cut at the border.
 * @param {Tiles} tiles
 * @param {number} x
 * @param {number} y
 * @param {number} side of the window, in pixels
 */
export function average({ width, height, values }, x, y, side) {
  let [sum, count] = [0, 0];
  const half = Math.floor(side / 2);
  for (let row = Math.max(0, y - half); row < Math.min(height, y + half); row++) {
    for (let column = Math.max(0, x - half); column < Math.min(width, x + half); column++, count++) sum += values[row * width + column];
  }
  return sum / count;
}

/**
 * Return for every coin its window's average, and whether its vote, "yes" above one half, is right.
 * @param {Coin[]} coins
 * @param {Record<string, Tiles>} maps
 * @param {number} side
 */
export const votes = (coins, maps, side) => coins.map(([kind, yes, x, y]) => {
  const share = average(maps[kind], x, y, side);
  return { kind, share, right: share > 0.5 === yes };
});

/**
 * Return where the sides stand on an axis: the last one, which is more than the whole picture, a step behind the others.
 * @param {number[]} sides
 */
export const places = (sides) => [...sides.slice(0, -1), 2 * sides[sides.length - 2] - sides[sides.length - 3]];

/**
 * Return the number of the side that is nearest to so many pixels.
 * @param {number[]} sides
 * @param {number} pixels
 */
export function nearest(sides, pixels) {
  const distances = places(sides).map((side) => Math.abs(side - pixels));
  return distances.indexOf(Math.min(...distances));
}

/**
 * Return the coin that is nearest to a pixel.
 * @param {Coin[]} coins
 * @param {number} x
 * @param {number} y
 */
export function coinAt(coins, x, y) {
  const distances = coins.map(([, , right, down]) => Math.hypot(right - x, down - y));
  return distances.indexOf(Math.min(...distances));
}

/**
 * Return the coin next to another in a direction, or that one where there is none: near, and rather straight ahead.
 * @param {Coin[]} coins
 * @param {number} from
 * @param {number[]} direction rows down, columns to the right
 */
export function coinBeside(coins, from, [down, right]) {
  const away = coins.map(([, , x, y]) => {
    const [dx, dy] = [x - coins[from][2], y - coins[from][3]];
    const [ahead, aside] = [dx * right + dy * down, Math.abs(dx * down) + Math.abs(dy * right)];
    return ahead > 0 && aside <= 2 * ahead ? ahead + 2 * aside : Infinity;
  });
  const least = Math.min(...away);
  return least < Infinity ? away.indexOf(least) : from;
}

/**
 * Say how many coins are right, and how the framed one has voted.
 * @param {Coin[]} coins
 * @param {Record<string, Tiles>} maps
 * @param {number} side
 * @param {number} framed
 */
export function told(coins, maps, side, framed) {
  const found = votes(coins, maps, side);
  const counts = KINDS.map((kind) => {
    const asked = found.filter((one) => one.kind === kind);
    return `${asked.filter(({ right }) => right).length} of ${asked.length} ${ASKED[kind].many}`;
  });
  const { kind, share, right } = found[framed];
  const { answers, about } = ASKED[/** @type {"ruby" | "jade"} */ (kind)];
  const [vote, truth] = [share > 0.5, coins[framed][1]].map((yes) => answers[Number(yes)]);
  return {
    found, counts: `${counts.join(" and ")} are right in this scene.`,
    one: `The framed ${kind}: ${percent(share)} of its window is ${answers[1]}, so the vote is ${vote}. ` +
      `Its ${about} is ${truth}: ${right ? "right" : "wrong"}.`,
  };
}

export default liveFigure("votes", (data, live) => {
  /** @type {{sides: number[], coins: Coin[], curves: Record<string, number[]>}} */
  const { sides, coins, curves } = data;
  const maps = Object.fromEntries(KINDS.map((kind) => [kind, unpacked(data.maps[kind])]));
  const [{ width }, last, axis] = [maps.ruby, sides.length - 1, places(sides)];
  const share = (/** @type {number} */ pixels) => `${(100 * pixels) / width}%`;
  const start = { stop: 1, reached: 1, coin: coinAt(coins, width / 2, width / 2) };
  const go = (/** @type {number} */ stop) => live.set({ stop, reached: Math.max(stop, live.state.reached) });

  // The scene: in the window its tiles, the coins, and a handle at the window's corner.
  const tiles = make("canvas.tiles", { "aria-hidden": "true" });
  const [frame, handle] = [make("div.framed"), make("div.handle", { "aria-hidden": "true" }, "⤡")];
  const buttons = coins.map(([kind, , x, y], i) => make(`button.coin.${kind}`, {
    type: "button", role: "radio", style: `left: ${share(x)}; top: ${share(y)}`,
    onfocus: () => live.set({ coin: i }), onclick: () => live.set({ coin: i }), // Safari focuses no button that is clicked
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (!ARROWS[event.key]) return;
      buttons[coinBeside(coins, i, ARROWS[event.key])].focus();
      event.preventDefault();
    },
  }));
  const group = make("div", { role: "radiogroup", "aria-label": "Which coin's window is shown" }, ...buttons);
  const picture = make("img", { src: data.picture, alt: "Coins with a ruby or a jade on a mosaic", draggable: "false" });
  const scene = make("div.scene", {}, picture, tiles, frame, group, handle);
  const pixelAt = (/** @type {PointerEvent} */ { clientX, clientY }) => {
    const box = scene.getBoundingClientRect();
    return [((clientX - box.left) * width) / box.width, ((clientY - box.top) * width) / box.width];
  };
  onDrag(handle, (begin) => {
    const [[, , x, y], half, held] = [coins[live.state.coin], sides[live.state.stop] / 2, pixelAt(begin)];
    const off = [held[0] - within(x + half, 0, width), held[1] - within(y + half, 0, width)]; // it stands a little outside of the corner
    return (_, event) => {
      const [right, down] = pixelAt(event).map((place, i) => place - off[i]);
      go(nearest(sides, 2 * Math.max(Math.abs(right - x), Math.abs(down - y))));
    };
  });
  const frameAt = (/** @type {PointerEvent} */ event) => {
    const [x, y] = pixelAt(event);
    live.set({ coin: coinAt(coins, x, y) });
  };
  onDrag(scene, (down) => {
    if (down.target === handle || buttons.includes(/** @type {any} */ (down.target))) return undefined;
    frameAt(down); // the window goes to the nearest coin
    return (_, event) => frameAt(event);
  });

  // The curves, and below them the slider that is their axis.
  const across = (/** @type {number} */ i) => LEFT + ((RIGHT - LEFT) * (axis[i] - axis[0])) / (axis[last] - axis[0]);
  const up = (/** @type {number} */ part) => BOTTOM - ((BOTTOM - TOP) * (part - 0.4)) / 0.6;
  const curve = KINDS.map((kind) => ({
    kind, line: draw("polyline", { class: kind }), dot: draw("circle", { class: kind, r: 6 }),
    name: draw("text", { class: kind, "text-anchor": "middle" }),
  }));
  const cursor = draw("line", { class: "cursor", y1: TOP, y2: BOTTOM });
  const levels = [0.5, 0.75, 1].flatMap((part) => [draw("line", { x1: LEFT, x2: RIGHT, y1: up(part), y2: up(part) }),
    draw("text", { x: LEFT - 5, y: up(part) + 4, "text-anchor": "end" }, `${100 * part}`)]);
  const ticks = [...sides.keys()].filter((i) => i === last || (sides[i] % 24 === 0 && last - i > 1)).map((i) =>
    draw("text", { x: across(i), y: BOTTOM + 18, "text-anchor": "middle" }, i === last ? "all" : `${sides[i]}`));
  const gap = (across(last - 1) + across(last)) / 2; // the whole picture is twice as far away as it stands: the axis is broken
  const chart = draw("svg", { viewBox: "0 0 360 244", "aria-hidden": "true" }, ...levels,
    draw("path", { class: "gap", d: [-4, 2].map((dx) => `M${gap + dx - 2} ${BOTTOM + 6}l4 -12`).join("") }),
    draw("text", { x: gap - 10, y: BOTTOM - 5, "text-anchor": "end" }, "50: a coin that is thrown"), ...ticks, cursor,
    ...curve.flatMap(({ line, dot, name }) => [line, dot, name]));
  const moved = () => go(Number(slider.value));
  onDrag(/** @type {any} */ (chart), (down) => {
    const follow = (/** @type {PointerEvent} */ { clientX }) => {
      const box = chart.getBoundingClientRect();
      const place = (360 * (clientX - box.left)) / box.width;
      go(nearest(sides, axis[0] + ((axis[last] - axis[0]) * (place - LEFT)) / (RIGHT - LEFT)));
    };
    follow(down);
    return (_, event) => follow(event);
  });
  const slider = make("input", { type: "range", min: 0, max: last, "aria-label": "Side of the window", oninput: moved });
  const [counts, one, key] = [make("p.sum"), make("p"), make("div.title")];
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");

  return {
    start,
    elements: [
      make("p.ask", {}, "Drag the corner of the window, or click another coin. All vote over a window of that size; ",
        make("b", {}, "the lit ones are right.")),
      make("div.two", {}, make("div", {}, scene, key), make("div", {}, make("div.title", {}, "right in %, of 100 scenes"), chart, slider,
        make("div.title", {}, "side of the window in pixels"), make("div.controls", {}, reset))),
      counts, one,
    ],
    draw: ({ stop, reached, coin }) => {
      const now = told(coins, maps, sides[stop], coin);
      const [kind, , x, y] = coins[coin];
      const half = sides[stop] / 2;
      const [left, top, right, bottom] = [x - half, y - half, x + half, y + half].map((edge) => within(edge, 0, width));
      const inset = [top, width - right, width - bottom, left].map(share).join(" ");
      [frame.style.inset, tiles.style.clipPath] = [inset, `inset(${inset})`];
      [handle.style.left, handle.style.top] = [right, bottom].map((edge) => `min(${share(edge)} + 0.8rem, 100%)`); // a small window is not hidden by it
      say(key, `in the window: ${ASKED[/** @type {"ruby" | "jade"} */ (kind)].key}`);
      paintLabels(tiles, maps[kind].values, width, width, ASKED[/** @type {"ruby" | "jade"} */ (kind)].colours);
      buttons.forEach((button, i) => {
        button.classList.toggle("wrong", !now.found[i].right);
        button.tabIndex = i === coin ? 0 : -1;
        button.ariaChecked = String(i === coin);
        button.classList.toggle("chosen", i === coin);
        button.ariaLabel = `${coins[i][0]} at ${coins[i][2]}, ${coins[i][3]}: its vote is ${now.found[i].right ? "right" : "wrong"}`;
      });
      draw(cursor, { x1: across(stop), x2: across(stop) });
      // A name stands above or below all that is drawn of both curves where it is.
      const [best, middle] = [Math.max(...KINDS.map((name) => curves[name][stop])), within(across(stop), LEFT + 44, RIGHT - 40)];
      const near = [...sides.keys()].filter((i) => i <= reached && Math.abs(across(i) - middle) < 56).flatMap((i) => KINDS.map((name) => up(curves[name][i])));
      for (const { kind: own, line, dot, name } of curve) {
        draw(line, { points: curves[own].slice(0, reached + 1).map((part, i) => `${across(i)},${up(part)}`).join(" ") });
        draw(dot, { cx: across(stop), cy: up(curves[own][stop]) });
        draw(name, { x: middle, y: curves[own][stop] === best ? Math.min(...near) - 11 : Math.max(...near) + 20 });
        name.textContent = `${ASKED[own].many} ${percent(curves[own][stop])}`;
      }
      slider.value = String(stop);
      slider.setAttribute("aria-valuetext", stop === last ? "the whole picture" : `${sides[stop]} pixels`);
      say(counts, now.counts);
      say(one, now.one);
    },
    words: ({ stop, coin }) => {
      const now = told(coins, maps, sides[stop], coin);
      const all = KINDS.map((kind) => `${ASKED[kind].many} ${percent(curves[kind][stop])}`);
      return `${now.counts} In 100 scenes: ${all.join(", ")}. ${now.one}`;
    },
    known: ({ stop, reached, coin }) => reached >= stop && [sides[stop], sides[reached], coins[coin]].every(Boolean),
  };
});

/**
 * The account of a pixel: what the features and each scale add to two of its classes, as Shapley values.
 *
 * It rests on the dividends of the 16 sets of scales: what a set adds to the logits that no smaller set within it adds.
 * The logits of a set are the sum of its subsets' dividends, and a Shapley value shares each of them out equally.
 *
 * @typedef {object} Dividends
 * @property {number[]} shape sets, classes, height and width; bit 8 of a set's number is the first scale, as dmnet.playground has it
 * @property {ArrayLike<number>} values
 * @property {number} step what 1 is worth
 */
import { make, number, say, within } from "./elements.js";
import { taps } from "./maps.js";

export const SCALES = [0, 1, 2, 3];
const PAIR = ["first", "second"]; // as in the style sheet
/** @param {number} set whether scale k is in it */
export const holds = (set, /** @type {number} */ k) => Boolean(set & (8 >> k));
/** @param {string} on as "1011" */
export const setOf = (on) => parseInt(on, 2);

const SETS = [...Array(16).keys()].map((set) => ({ set, size: SCALES.filter((k) => holds(set, k)).length }));

/**
 * Return the sets within a set, and how many scales each has.
 * @param {number} on
 */
export const within16 = (on) => SETS.filter(({ set }) => (set & ~on) === 0);

/**
 * Return what the features (first) and each scale add to every class, [5][classes], read out by `read`.
 * @param {Dividends} dividends
 * @param {number} on
 * @param {(values: ArrayLike<number>, first: number) => number} read reads one map of them, which begins there
 */
export function sharesOfLogits({ shape: [, classes, height, width], values, step }, on, read) {
  const shares = [0, ...SCALES].map(() => Array(classes).fill(0));
  for (const { set, size } of within16(on)) {
    for (let c = 0; c < classes; c++) {
      const value = step * read(values, (set * classes + c) * height * width);
      if (!size) shares[0][c] += value;
      else for (const k of SCALES) if (holds(set, k)) shares[k + 1][c] += value / size;
    }
  }
  return shares;
}

/**
 * Return what reads a map at a pixel of the picture: bilinear, as the logits are upsampled.
 * @param {number[]} shape sets, classes, height and width
 * @param {number} tall height of the picture
 * @param {number} wide its width
 */
export function reader([, , height, width], tall, wide) {
  const [rows, columns] = [taps(height, tall), taps(width, wide)];
  return (/** @type {number} */ x, /** @type {number} */ y) => {
    const [above, below, left, right] = [rows.first[y] * width, rows.second[y] * width, columns.first[x], columns.second[x]];
    const [down, across] = [rows.weight[y], columns.weight[x]];
    return (/** @type {ArrayLike<number>} */ map, first = 0) => {
      const line = (/** @type {number} */ row) => map[first + row + left] * (1 - across) + map[first + row + right] * across;
      return line(above) * (1 - down) + line(below) * down;
    };
  };
}

/** @param {number} value */
const withSign = (value) => number(value, 1).replace(/^(?=0\.|[1-9])/, "+");
/** @param {number[]} values */
const largestOf = (values) => values.indexOf(Math.max(...values));

/**
 * What the card says of a pixel.
 * @typedef {object} Account
 * @property {number} now its class
 * @property {number} confidence
 * @property {number[]} pair the two classes that are compared
 * @property {number} limit of the bars
 * @property {number[][]} rows what each part adds to both: features, scales, and the sum
 * @property {number[][]} shown the same and the lead, in tenths that add up as they stand
 */

/**
 * Round to tenths so that what is shown adds up, down and across: a part is what it moves the rounded sum by.
 * @param {number[][]} rows
 */
export function tenths(rows) {
  const [sums, told] = [[0, 0], [0, 0]];
  const parts = rows.slice(0, -1).map((row) => row.map((value, i) => {
    sums[i] += value;
    const part = Math.round(10 * sums[i]) - told[i];
    told[i] += part;
    return part;
  }));
  return [...parts, told].map(([one, other]) => [one, other, one - other].map((part) => part / 10));
}

/**
 * Return what the card says of a pixel. The first of the pair of classes is what all scales together say, the second its
 * strongest rival now.
 * @param {Dividends} dividends
 * @param {string} on
 * @param {(values: ArrayLike<number>, first: number) => number} read
 * @returns {Account}
 */
export function askedWhy(dividends, on, read) {
  const sum = (/** @type {number[][]} */ shares) => shares[0].map((_, c) => shares.reduce((all, part) => all + part[c], 0));
  const shares = sharesOfLogits(dividends, setOf(on), read);
  const [logits, whole] = [sum(shares), sharesOfLogits(dividends, 15, read)];
  const [best, now] = [largestOf(sum(whole)), largestOf(logits)];
  const rival = largestOf(logits.map((value, c) => (c === best ? -Infinity : value)));
  const confidence = 1 / logits.reduce((all, value) => all + Math.exp(value - logits[now]), 0);
  const pair = [best, rival];
  const limit = Math.max(4, ...whole.flatMap((part) => pair.map((c) => 1.2 * Math.abs(part[c]))));
  const rows = [...shares, logits].map((part) => pair.map((c) => part[c]));
  return { now, confidence, pair, limit, rows, shown: tenths(rows) };
}

/**
 * Say what each part adds to the lead of the first class.
 * @param {Account} account
 * @param {string} on
 * @param {string[]} scales
 * @param {string[]} names of the classes
 */
export function wordsOf({ pair, shown }, on, scales, names) {
  const added = ["features", ...scales].map((name, i) => (on[i - 1] === "0" ? `${name} off` : `${name} ${withSign(shown[i][2])}`));
  return `For ${names[pair[0]]} against ${names[pair[1]]}: ${added.join(", ")}.`;
}

/**
 * Make the card: a sentence, and a table of bars with a switch for every scale.
 * @param {string[]} scales their names
 * @param {string[]} colours
 * @param {(scale: number) => void} change switches a scale
 */
export function makeAccount(scales, colours, change) {
  const boxes = scales.map((k, i) => make("input", { type: "checkbox", role: "switch", "aria-label": `Scale ${k}`, onchange: () => change(i) }));
  const rows = ["f", ...scales, "sum"].map((name, i) => {
    const bars = PAIR.map((one) => make(`i.${one}`));
    const cells = [make("td"), make("td"), make("td.difference")];
    const text = make("span", {}, name);
    const label = boxes[i - 1] ? make("label", {}, boxes[i - 1], text) : text;
    const style = `--kind: ${colours[i - 1] ?? "var(--faint)"}`;
    return { bars, cells, text, element: make("tr", { style }, make("th", { scope: "row" }, label), make("td.bars", {}, ...(name === "sum" ? [] : bars)), ...cells) };
  });
  const [keys, link, which] = [PAIR.map((one) => make(`span.${one}`)), make("span"), make("span")];
  const head = make("tr", {}, make("td"), make("td"), ...[...PAIR, "lead"].map((text) => make(`th.${text}`, { scope: "col" }, text)));
  const verdict = make("p.verdict");
  const whole = make("div.account", {}, verdict,
    make("p.keys", {}, keys[0], link, keys[1], which), make("table", {}, head, ...rows.map(({ element }) => element)));
  return {
    rows,
    element: whole,
    /**
     * @param {Account} account
     * @param {string} on
     * @param {string[]} names of the classes
     * @param {number[][]} palette
     * @param {string} sentence
     */
    show: ({ pair, limit, rows: parts, shown }, on, names, palette, sentence) => {
      const all = on === "1111";
      say(verdict, sentence);
      say(link, all ? ", as all four say, against " : " against ");
      say(which, all ? "" : `, with ${scales.filter((_, k) => on[k] === "1").join(", ") || "no scale"} on`);
      keys.forEach((key, i) => {
        say(key, names[pair[i]]);
        whole.style.setProperty(`--of-${PAIR[i]}`, `rgb(${palette[pair[i]]})`);
      });
      rows.forEach(({ bars, cells, element }, i) => {
        const off = on[i - 1] === "0";
        element.classList.toggle("off", off);
        bars.forEach((bar, j) => {
          const part = within(parts[i][j] / limit, -1, 1);
          [bar.style.left, bar.style.width] = [`${50 + 50 * Math.min(0, part)}%`, `${50 * Math.abs(part)}%`];
        });
        shown[i].forEach((value, j) => say(cells[j], off ? "off" : withSign(value)));
      });
      boxes.forEach((box, k) => { box.checked = on[k] === "1"; });
    },
  };
}

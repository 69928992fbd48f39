/** What all live figures share, and the votes, by hand-made examples. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { short } from "../../../dmnet/playground/frontend/grids.js";
import { unpacked } from "../../../dmnet/playground/frontend/bits.js";
import { number, within } from "../../../dmnet/playground/frontend/elements.js";
import { fromHash, toHash } from "../../../dmnet/playground/frontend/live.js";
import { average, coinAt, coinBeside, nearest, places, told, votes } from "../../../dmnet/playground/frontend/votes.js";

test("an address holds what has changed, and gives it back", () => {
  const start = { image: "53,44", w: 1, move: "" };
  const hash = toHash("digits", { image: "99,44", w: -0.5, move: "" }, start);
  assert.equal(hash, "#live=digits&image=99%2C44&w=-0.5");
  assert.deepEqual(fromHash(hash, "digits", start), { image: "99,44", w: -0.5, move: "" });
});

test("an address of another figure, or one that makes no sense, changes nothing", () => {
  const start = { w: 1, move: "" };
  for (const hash of ["", "#fig-idea", "#live=votes&w=2", "#live=digits&w=much", "#live=digits&w=", "#live=digits&v=2"]) {
    assert.deepEqual(fromHash(hash, "digits", start), start);
  }
});

test("numbers have a true minus, and are short in cells", () => {
  assert.deepEqual([3.25, -0.75, 1 / 3, 12, -0].map((value) => number(value)), ["3.25", "−0.75", "0.33", "12", "0"]);
  assert.deepEqual([3.25, -0.75, 57.25, 112.4, -0.001].map(short), ["3.25", "−0.8", "57.3", "112", "0"]);
  assert.deepEqual([-1, 5, 0.5].map((value) => within(value, 0, 1)), [0, 1, 0.5]);
});

test("a map comes as bits", () => {
  const { width, height, values } = unpacked({ shape: [2, 5], bits: btoa("\xa8\x40") }); // 10101 00001
  assert.deepEqual([width, height, [...values]], [5, 2, [1, 0, 1, 0, 1, 0, 0, 0, 0, 1]]);
});

const tiles = { width: 4, height: 2, values: Uint8Array.of(1, 1, 0, 0, 1, 1, 0, 0) };

test("a window is cut at the border, and reaches one pixel further to the left", () => {
  assert.equal(average(tiles, 2, 1, 2), 0.5);
  assert.equal(average(tiles, 2, 1, 4), 0.5);
  assert.equal(average(tiles, 0, 0, 4), 1);
  assert.equal(average(tiles, 3, 0, 320), 0.5);
});

test("a vote is yes above one half, and right where that is the answer", () => {
  const coins = [["ruby", true, 1, 1], ["ruby", false, 1, 1], ["jade", false, 2, 1]];
  const maps = { ruby: tiles, jade: tiles };
  assert.deepEqual(votes(coins, maps, 2).map(({ right }) => right), [true, false, true]);
  const { counts, one } = told(coins, maps, 2, 1);
  assert.equal(counts, "1 of 2 rubies and 1 of 1 jades are right in this scene.");
  assert.equal(one, "The framed ruby: 100 % of its window is warm, so the vote is warm. Its side is cool: wrong.");
});

test("the sides stand evenly on the axis, the whole picture behind them", () => {
  const sides = [8, 16, 24, 320];
  assert.deepEqual(places(sides), [8, 16, 24, 32]);
  assert.deepEqual([0, 13, 27, 29, 500].map((pixels) => nearest(sides, pixels)), [0, 1, 2, 3, 3]);
});

test("an arrow key goes to a near coin in its direction, and nowhere where there is none", () => {
  const coins = [[50, 50], [70, 55], [60, 90], [90, 50], [10, 10]].map(([x, y]) => ["ruby", true, x, y]);
  assert.deepEqual([[0, 1], [1, 0], [0, -1], [-1, 0]].map((way) => coinBeside(coins, 0, way)), [1, 2, 4, 4]);
  assert.equal(coinBeside(coins, 3, [0, 1]), 3);
  assert.deepEqual([[52, 52], [0, 90], [80, 60]].map(([x, y]) => coinAt(coins, x, y)), [0, 2, 1]);
});

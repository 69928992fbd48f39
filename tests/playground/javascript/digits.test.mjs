/** The digits' arithmetic by hand-made examples; tests/playground/test_live.py holds it against PyTorch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { account, consequences, MOVES, toRows, toText, verdict, withDigit } from "../../../dmnet/playground/frontend/digits.js";
import { binOf, correlate, factors, pool } from "../../../dmnet/playground/frontend/filtering.js";

const L = "530000,440000,351000,442100,443523,534421"; // the chapter's image
const state = { image: L, before: "", kept: "", move: "", w: 1, b: -1, k: 3 };
const after = (/** @type {string} */ move, changes = {}) =>
  ({ ...state, before: L, image: toText(MOVES[move](toRows(L))), move, ...changes });
const agrees = (/** @type {object} */ changed) => consequences(changed).off.flat().every((off) => !off);

test("rows of digits as text, and back", () => {
  assert.deepEqual(toRows("53,44"), [[5, 3], [4, 4]]);
  assert.equal(toText(toRows(L)), L);
});

test("bins meet where they divide the length, and overlap where they do not", () => {
  assert.deepEqual([0, 1, 2].map((i) => binOf(i, 3, 6)), [[0, 2], [2, 4], [4, 6]]);
  assert.deepEqual([0, 1, 2, 3].map((i) => binOf(i, 4, 6)), [[0, 2], [1, 3], [3, 5], [4, 6]]);
  assert.deepEqual([0, 1, 2, 3].map((i) => binOf(i, 4, 3)), [[0, 1], [0, 2], [1, 3], [2, 3]]);
});

test("a thumbnail is made of averages", () => {
  assert.deepEqual(pool(toRows("13,57"), 1), [[4]]);
  assert.deepEqual(pool(toRows(L), 3)[0], [4, 0, 0]);
  assert.deepEqual(pool(toRows("13,57"), 2), [[1, 3], [5, 7]]);
});

test("the filter's middle lies on the cell; an even one reaches further to the left and up", () => {
  const image = toRows("12,34");
  assert.deepEqual(correlate(image, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]), image);
  assert.deepEqual(correlate(image, [[1, 0], [0, 0]]), [[0, 0], [0, 1]]);
  assert.deepEqual(factors(image, [[5, 6], [7, 8]], 0, 1), [[null, null], [[1, 7], [2, 8]]]);
});

test("what can be done to an image", () => {
  const rows = [[1, 2, 3], [4, 5, 6]];
  assert.deepEqual(MOVES.flip(rows), [[3, 2, 1], [6, 5, 4]]);
  assert.deepEqual(MOVES.turn(rows), [[3, 6], [2, 5], [1, 4]]);
  assert.deepEqual(MOVES.shift(rows), [[0, 1, 2], [0, 4, 5]]);
  assert.deepEqual(MOVES.crop(rows), [[1, 2], [4, 5]]);
});

test("an odd dynamic filter goes along with flip and turn, a static one with shift and crop", () => {
  for (const k of [1, 3, 5]) for (const move of ["flip", "turn"]) assert.ok(agrees(after(move, { k })), `${move} ${k}`);
  for (const move of ["flip", "turn"]) {
    assert.ok(!agrees(after(move, { k: 4 })), `even, ${move}`);
    assert.ok(!agrees(after(move, { kept: L })), `static, ${move}`);
  }
  for (const move of ["shift", "crop"]) {
    assert.ok(!agrees(after(move)), `dynamic, ${move}`);
    for (const k of [1, 2, 3, 4, 5]) assert.ok(agrees(after(move, { kept: L, k })), `static, ${move} ${k}`);
    assert.ok(agrees(after(move, { w: 0, k: 3 })), `without the thumbnail, ${move}`); // the static limit
  }
});

test("a verdict says what was compared, and why it is so", () => {
  const told = (/** @type {object} */ changed) => {
    const { text, why } = verdict(changed, consequences(changed));
    return text + why;
  };
  assert.match(told(state), /^Flip, turn, shift or crop/);
  assert.equal(told(after("flip")), "After the flip, all 36 numbers went along. The filter went along, too.");
  assert.equal(told(after("crop", { kept: L })),
    "After the crop, all 12 numbers went along. The filter is the same as before. Numbers near the border are not compared.");
  assert.match(told(after("flip", { kept: L })), /30 of 36 numbers did not .* not made anew: a flip would change 6 of its 9 taps\.$/);
  assert.match(told(after("turn", { k: 4 })), /Though the filter went along, too: k = 4 is even/);
  assert.match(told(after("shift")), /^After the shift, \d+ of 24 numbers did not go along \(underlined\)\. 8 of 9 taps are others: the shift has moved/);
  assert.match(told(after("crop")), /of 9 taps are others: the bins now divide half of the digits\. Numbers near/);
  assert.match(told(after("shift", { w: 0 })), /went along\. The filter is the same as before\./);
});

test("a digit is changed before the move, too, and both stay comparable", () => {
  for (const move of Object.keys(MOVES)) {
    const moved = after(move);
    const edited = { ...moved, ...withDigit(moved, 2, 1, 8) };
    assert.equal(toRows(edited.image)[2][1], 8);
    assert.deepEqual(MOVES[move](toRows(edited.before)), toRows(edited.image), move);
    assert.equal(edited.move, move);
  }
  assert.equal(withDigit(after("shift"), 0, 0, 8).move, ""); // a zero that has come in
  assert.equal(withDigit(state, 0, 0, 8).move, "");
});

test("an account names every product, and the framed average of a tap", () => {
  const found = consequences({ ...state, image: "53,44", k: 1 });
  assert.equal(account({ ...state, at: "response", row: 0, column: 1 }, found), "Response, row 1, column 2: 3·3 = 9");
  assert.equal(account({ ...state, at: "tap", row: 0, column: 0 }, found),
    "Thumbnail, row 1, column 1: the framed digits average 4. Filter: 1·4 + (−1) = 3");
});

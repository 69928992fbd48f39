/** The front end's arithmetic, by hand-made examples; tests/test_playground.py holds it against PyTorch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { labelsOf, taps } from "../../../dmnet/playground/frontend/maps.js";
import { chancesAt, channelOf, iou, mean, normalised, occurringIn, shareChanged, subsetNumber } from "../../../dmnet/playground/frontend/numbers.js";

test("a pixel is normalised by the mean and deviation of its channel", () => {
  const values = normalised({ pixels: Uint8Array.of(124, 116, 104, 255, 0, 0), height: 1, width: 2 });
  const expected = [0.325 / 58.395, 131.325 / 58.395, -0.28 / 57.12, -116.28 / 57.12, 0.47 / 57.375, -103.53 / 57.375];
  values.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-5));
});

test("upsampling reads at half-pixel centres and repeats the border", () => {
  const { first, second, weight } = taps(2, 4);
  assert.deepEqual([...first], [0, 0, 0, 1]);
  assert.deepEqual([...second], [1, 1, 1, 1]);
  assert.deepEqual([...weight], [0, 0.25, 0.75, 0.25]);
});

test("labels are the arg-max after upsampling, not before", () => {
  const logits = Float32Array.of(0, 0, 3, -1); // class 0: [0, 0], class 1: [3, -1]
  assert.deepEqual([...labelsOf(logits, [2, 1, 2], 1, 4)], [1, 1, 0, 0]);
  assert.deepEqual([...labelsOf(Float32Array.of(1, 1), [2, 1, 1], 2, 2)], [0, 0, 0, 0]); // a tie: the first
});

test("probabilities are those of the upsampled logits at one pixel", () => {
  const logits = Float32Array.of(0, 0, 0, 0, Math.log(3), Math.log(3), 0, 0); // [2, 2, 2]
  const near = (some, others) => others.forEach((other, i) => assert.ok(Math.abs(some[i] - other) < 1e-6));
  near(chancesAt(logits, [2, 2, 2], [2, 2], [1, 0]), [1 / 4, 3 / 4]);
  const half = 3 ** 0.75; // a quarter of the way down: rows are read at half-pixel centres
  near(chancesAt(logits, [2, 2, 2], [4, 4], [3, 1]), [1 / (1 + half), half / (1 + half)]);
});

test("IoU leaves out void, and classes that are nowhere", () => {
  const scores = iou(Uint8Array.of(0, 0, 1, 1), Uint8Array.of(0, 1, 1, 255), 3);
  assert.deepEqual(scores, [0.5, 0.5, null]);
  assert.equal(mean(scores), 0.5);
  assert.ok(Number.isNaN(mean([null])));
});

test("the share of changed pixels", () => {
  assert.equal(shareChanged(Uint8Array.of(1, 2, 3, 4), Uint8Array.of(1, 2, 0, 0)), 0.5);
});

test("which classes occur, without void", () => {
  assert.deepEqual(occurringIn([Uint8Array.of(3, 255), Uint8Array.of(0, 3)]), [0, 3]);
});

test("a channel", () => {
  const values = Float32Array.of(1, 2, 3, 4);
  assert.deepEqual([...channelOf(values, [2, 1, 2], 1).values], [3, 4]);
});

test("subsets are numbered by their gates as bits", () => {
  assert.deepEqual([[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]].map(subsetNumber), [0, 1, 11, 15]);
  assert.equal(subsetNumber([1, 0.5, 1, 1]), -1);
});

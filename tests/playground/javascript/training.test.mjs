import assert from "node:assert/strict";
import { test } from "node:test";

import { unkeyed } from "../../../dmnet/playground/frontend/charts.js";
import { ratesOf, rolling } from "../../../dmnet/playground/frontend/training.js";

test("a rolling mean begins where there are enough values", () => {
  assert.deepEqual(rolling([1, 2, 3, 5], 2), [1.5, 2.5, 4]);
});

test("the poly rule falls to the final rate, and warm-up climbs to it", () => {
  const line = { rate: 0.5, final: 0, power: 1, warmup: 0 };
  assert.deepEqual(ratesOf(line, 4), [0.5, 0.375, 0.25, 0.125]);
  assert.deepEqual(ratesOf({ ...line, warmup: 2 }, 4), [0.25, 0.375, 0.25, 0.125]);
});

test("a title is read without the keys of its lines", () => {
  assert.equal(unkeyed("Right: {plus}quilt 52 %, {minus}gem 93 %."), "Right: quilt 52 %, gem 93 %.");
});

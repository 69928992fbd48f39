/** The account of a pixel, by a game whose shares are known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { askedWhy, holds, sharesOfLogits } from "../../../dmnet/playground/frontend/account.js";
import { dividendsOf } from "../../../dmnet/playground/frontend/ask.js";

// Two classes, one cell. For the first: 1 alone, 2 more with the second scale, 6 with the first and the third together.
const logits = [...Array(16).keys()].map((set) => [1 + (holds(set, 1) ? 2 : 0) + (holds(set, 0) && holds(set, 2) ? 6 : 0), 0.5]);
const dividends = dividendsOf(logits, [2, 1, 1]);
const read = (map, first) => map[first];

test("dividends are what a set adds that no smaller one adds", () => {
  const first = [...Array(16).keys()].map((set) => dividends.values[2 * set]);
  assert.deepEqual(Object.fromEntries([...first.entries()].filter(([, value]) => value)), { 0: 1, 4: 2, 10: 6 });
  assert.deepEqual([...dividends.values].filter((value, i) => i % 2 && value), [0.5]);
});

test("what two scales add together is shared out equally, and only where both are on", () => {
  assert.deepEqual(sharesOfLogits(dividends, 15, read).map(([one]) => one), [1, 3, 2, 3, 0]);
  assert.deepEqual(sharesOfLogits(dividends, 0b0111, read).map(([one]) => one), [1, 0, 2, 0, 0]);
});

test("the first of the pair is the whole network's, also where it is not the best now", () => {
  const turned = dividendsOf([...Array(16).keys()].map((set) => [holds(set, 3) ? 3 : -1, 1]), [2, 1, 1]);
  const { now, pair, rows } = askedWhy(turned, "1110", read);
  assert.deepEqual([now, pair, rows[5]], [1, [0, 1], [-1, 1]]);
});

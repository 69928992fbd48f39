/** The account of a pixel, by a game whose shares are known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { askedWhy, holds, sharesOfLogits, tenths } from "../../../dmnet/playground/frontend/account.js";
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

test("what is shown adds up, down and across, and is within a tenth of what it rounds", () => {
  const parts = [[0.26, 1.14], [0.26, 0.04], [0.26, -0.04], [-0.44, 2.25], [0.01, 0.06]];
  const sum = [0, 1].map((i) => parts.reduce((all, part) => all + part[i], 0));
  const shown = tenths([...parts, sum]).map((row) => row.map((value) => Math.round(10 * value)));
  assert.notEqual(parts.reduce((all, [one]) => all + Math.round(10 * one), 0), shown[5][0]); // each rounded by itself
  for (const [one, other, lead] of shown) assert.equal(one - other, lead);
  for (const i of [0, 1, 2]) assert.equal(shown.slice(0, 5).reduce((all, row) => all + row[i], 0), shown[5][i]);
  shown.slice(0, 5).forEach((row, k) => [0, 1].forEach((i) => assert.ok(Math.abs(row[i] - 10 * parts[k][i]) <= 1)));
  [0, 1].forEach((i) => assert.ok(Math.abs(shown[5][i] - 10 * sum[i]) <= 0.5));
});

test("the first of the pair is the whole network's, also where it is not the best now", () => {
  const turned = dividendsOf([...Array(16).keys()].map((set) => [holds(set, 3) ? 3 : -1, 1]), [2, 1, 1]);
  const { now, pair, rows } = askedWhy(turned, "1110", read);
  assert.deepEqual([now, pair, rows[5]], [1, [0, 1], [-1, 1]]);
});

/** Changing a scene: the sentences, the picture put together from its layers, the labels and maps that follow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arranged, Composer, NONE, objectAt, painted, visibleShare } from "../../../dmnet/playground/frontend/compose.js";
import { readEdit, withEdit } from "../../../dmnet/playground/frontend/edits.js";
import { contradiction, namedWords, namesOf } from "../../../dmnet/playground/frontend/pad.js";
import { statistics } from "../../../dmnet/playground/frontend/results.js";

const [HEIGHT, WIDTH, AREA] = [4, 6, 24];
const stamp = [-1, -1, 2, 2, 0]; // four pixels: up and left of the centre, and it

/**
 * A ground of three patches, each two pixels wide: black where cool, white where warm. One object of 2 x 2 pixels that
 * is half transparent; its last pixel does not count. The first patch is warm.
 */
const LAYERS = {
  height: HEIGHT, width: WIDTH,
  grounds: Uint8Array.from({ length: 2 * 3 * AREA }, (_, i) => (i < 3 * AREA ? 0 : 200)),
  patch: Uint16Array.from({ length: AREA }, (_, i) => Math.floor((i % WIDTH) / 2)),
  versions: Uint8Array.of(1, 0, 0),
  stamps: Uint8Array.from([10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30, 51, 51, 51, 255, 1, 1, 1, 255]),
  objects: [
    { name: "ruby", label: 2, placed: true, x: 1, y: 1, stamps: { 0: stamp, 1: stamp } },
    { name: "ruby", label: 1, placed: false, x: 0, y: 0, stamps: { 0: stamp } },
  ],
};
const question = { text: "?", pairs: [[1, 2]], seen: "seen", hidden: "hidden", majority: false };
const hidden = Uint8Array.from({ length: 2 * AREA }, (_, i) => Number(i < AREA ? i % WIDTH < 2 : i % WIDTH >= 3));
const scene = (majority = false) => ({
  picture: { pixels: new Uint8Array(3 * AREA).fill(100), height: HEIGHT, width: WIDTH },
  truth: null,
  tensors: { hidden: { data: hidden, shape: [2, HEIGHT, WIDTH] } },
  facts: { hidden: ["seen", "hidden"], questions: [{ ...question, majority }], objects: [] },
});
const put = (edits, majority) => new Composer(scene(majority), LAYERS).compose(edits);
const red = ({ scene: { picture } }, x, y) => picture.pixels[3 * (y * WIDTH + x)];

test("sentences are read, and others are not", () => {
  assert.deepEqual(readEdit("move 3 45 -6"), { verb: "move", object: 3, name: "", numbers: [45, -6] });
  assert.deepEqual(readEdit("turn warm 17"), { verb: "turn", object: 0, name: "warm", numbers: [17] });
  assert.deepEqual(readEdit(" add  ruby 1 2 ")?.name, "ruby");
  assert.deepEqual(readEdit("remove all"), { verb: "remove", object: 0, name: "all", numbers: [] });
  for (const none of ["", "move all 1 2", "move 3 45", "move x 1 2", "size 1 1.5", "turn 17", "paint 1", "constructor 1", "share -1"]) assert.equal(readEdit(none), null, none);
});

test("a change takes the place of an earlier one of the same thing", () => {
  assert.deepEqual(withEdit(["move 1 2 3", "move 11 2 3"], "move 1 5 5"), ["move 11 2 3", "move 1 5 5"]);
  assert.deepEqual(withEdit(["share 20", "remove 2"], "share 30"), ["remove 2", "share 30"]);
  assert.deepEqual(withEdit(["turn warm 1"], "turn warm 11"), ["turn warm 1", "turn warm 11"]);
  assert.deepEqual(withEdit(["exchange warm", "turn warm 1"], "exchange warm"), ["turn warm 1"]);
  assert.deepEqual(withEdit(["add ruby 1 1"], "add ruby 1 1"), ["add ruby 1 1", "add ruby 1 1"]);
});

test("a drawing begins with nothing on the ground, and keeps what the ground and the light are", () => {
  assert.deepEqual(withEdit(["move 1 2 3", "turn warm 1", "add ruby 1 1", "size 1 1", "brightness 50", "remove 2"], "remove all"), ["turn warm 1", "brightness 50", "remove all"]);
  const { scene: { truth, facts, picture }, owner } = put(["remove all"]);
  assert.ok(owner.every((one) => one === NONE) && truth.every((one) => one === 0));
  assert.deepEqual(facts.objects, []);
  assert.equal(picture.pixels[0], 100 + (200 - (200 * 0.2 + 10))); // the ground is seen
  const drawn = put(["remove all", "add ruby 4 2", "add ruby 1 1", "remove 3", "exchange all"]);
  assert.deepEqual(drawn.scene.facts.objects, [[1, 4, 2]]);
  assert.deepEqual(drawn.arrangement.placed.map(({ number }) => number), [2]);
});

test("an object's name is the label of most of its pixels that can be seen", () => {
  const composed = put(["remove all", "add ruby 4 2", "add ruby 1 1"]); // three pixels each; the first has label 1, the second 2
  const labels = new Uint8Array(AREA);
  assert.equal(namedWords(namesOf(composed, labels)), "The network names 0 of 2 objects rightly; not:");
  for (const at of [WIDTH + 3, WIDTH + 4]) labels[at] = 1;
  const names = namesOf(composed, labels);
  assert.deepEqual([names.count, ...names.wrong.map(({ number }) => number)], [2, 3]);
  for (const at of [0, 1]) labels[at] = 2;
  assert.equal(namedWords(namesOf(composed, labels)), "The network names both objects rightly.");
  assert.equal(namedWords(namesOf(put(["remove all"]), labels)), "");
});

test("it is said where turned patches contradict what counts", () => {
  assert.equal(contradiction(put([])), "Only 0 % of the ground on the side that counts as warm is warm now. Turned tiles move no line: the truth still goes by it.");
  assert.equal(contradiction(put(["turn warm 1", "turn warm 2", "turn warm 0"])), "");
  assert.equal(contradiction(put([], true)), ""); // there the patches decide
});

test("without changes the picture is the same, with one it differs only there", () => {
  assert.deepEqual(put([]).scene.picture.pixels, scene().picture.pixels);
  const moved = put(["move 1 4 2"]);
  assert.equal(red(moved, 5, 0), 100); // untouched
  assert.equal(red(moved, 0, 0), 100 + (200 - (200 * 0.2 + 10))); // the object has gone: the warm ground is back
  assert.equal(red(moved, 3, 1), 100 + 10); // on cool ground only what it adds
});

test("who owns a pixel, and what it is called there", () => {
  const { scene: { truth, facts }, owner } = put(["move 1 4 2"]);
  assert.equal(truth[WIDTH + 3], 1); // on the hidden map
  assert.equal(truth[2 * WIDTH + 4], 255); // the pixel that does not count
  assert.equal(truth[0], 0);
  assert.deepEqual(facts.objects, [[1, 4, 2]]);
  assert.equal(objectAt(LAYERS, owner, 4, 2), 0);
  assert.equal(objectAt(LAYERS, owner, 0, 3), -1);
  assert.equal(put([]).scene.truth[0], 2);
});

test("objects are added, moved to the front, and removed; what makes no sense is left out", () => {
  const numbers = (edits) => arranged(LAYERS, edits).placed.map(({ number }) => number);
  assert.deepEqual(numbers(["add ruby 3 3"]), [1, 2]);
  assert.deepEqual(numbers(["add ruby 3 3", "move 1 0 0"]), [2, 1]);
  assert.deepEqual(numbers(["add ruby 3 3", "remove 1"]), [2]);
  assert.deepEqual(numbers(["add dragon 3 3", "remove 9", "size 1 7", "turn warm 99", "nonsense"]), [1]);
  assert.equal(arranged(LAYERS, ["size 1 1"]).placed[0].step, 1);
});

test("exchanged is the ground with its names, turned is one patch", () => {
  const exchanged = put(["exchange warm"]);
  assert.deepEqual([...exchanged.arrangement.versions], [0, 1, 1]);
  assert.equal(exchanged.scene.truth[0], 1);
  assert.equal(red(exchanged, 4, 0), 255); // 100 + 200
  const turned = put(["turn warm 2"]);
  assert.deepEqual([...turned.arrangement.versions], [1, 0, 1]);
  assert.equal(turned.scene.truth[0], 2);
  assert.deepEqual([...put(["turn warm 2", "exchange warm"]).arrangement.versions], [0, 1, 0]);
});

test("a share of the ground: none, all, and what was warm comes first", () => {
  const versions = (share) => [...arranged(LAYERS, [`share ${share}`]).versions];
  assert.deepEqual(versions(0), [0, 0, 0]);
  assert.deepEqual(versions(33), [1, 0, 0]);
  assert.equal(versions(66).reduce((a, b) => a + b), 2);
  assert.deepEqual(versions(100), [1, 1, 1]);
});

test("a majority is that of the ground that can be seen", () => {
  assert.equal(put([], true).scene.truth[0], 2); // cool, mostly
  assert.equal(put(["turn warm 2"], true).scene.truth[0], 1);
  const { scene: changed, owner } = put([], true);
  assert.equal(visibleShare(changed, "seen", owner, NONE), 4 / 20);
});

test("light dims and colours everything", () => {
  const { pixels } = put(["brightness 50", "warmth 40"]).scene.picture;
  assert.deepEqual([...pixels.slice(0, 3)], [55, 50, 45]);
});

test("windows of every extent vote on the objects' questions", () => {
  const found = statistics({ ...scene(), facts: { ...scene().facts, objects: [[1, 4, 2], [2, 1, 1], [5, 0, 0]] } });
  assert.deepEqual(found[0].extents, [8, 24, 40, 56, 12]);
  assert.equal(found[0].objects, 2);
  assert.deepEqual(found[0].right, [1, 1, 1, 1, 1]); // one third is warm: right for the second only
});

test("painting stops at the border", () => {
  const { owner } = painted(LAYERS, arranged(LAYERS, ["move 1 0 0"]));
  assert.equal(owner[0], 0x8000);
  assert.ok(owner.slice(1).every((one) => one === 0xffff));
});

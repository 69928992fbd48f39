/** Asking a notebook's kernel: each view hears its own replies; a kernel that is busy or gone is told of. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Kernel, KernelEngine } from "../../../dmnet/playground/frontend/engines.js";

/** A widget's model as the page sees it; what is sent to the kernel is kept in `sent`. */
class Model {
  constructor() {
    this.listeners = new Map();
    this.sent = [];
  }

  on(name, act) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), act]);
  }

  off(name, act) {
    this.listeners.set(name, this.listeners.get(name).filter((one) => one !== act));
  }

  send(content, callbacks) {
    this.sent.push({ content, callbacks });
  }

  trigger(name, ...values) {
    this.listeners.get(name).forEach((act) => act(...values));
  }

  reply(number, content) {
    this.trigger("msg:custom", { ...content, reply_to: this.sent[number].content.id }, []);
  }
}

/** A kernel, its model and what it tells. */
function begin() {
  const model = new Model();
  const kernel = new Kernel(model);
  const told = [];
  kernel.tell = (text) => told.push(text);
  return { model, kernel, told };
}

const idle = { content: { execution_state: "idle" } };

test("two views of a widget hear their own replies", async () => {
  const { model, kernel } = begin();
  const other = new Kernel(model);
  const [mine, its] = [kernel.ask({ kind: "asset" }), other.ask({ kind: "asset" })];
  model.reply(1, { name: "its" });
  model.reply(0, { name: "mine" });
  assert.equal((await mine).name, "mine");
  assert.equal((await its).name, "its");
});

test("an error of the kernel is one here", async () => {
  const { model, kernel, told } = begin();
  const answer = kernel.ask({ kind: "asset" });
  model.reply(0, { error: "DMNetError: there is no file" });
  await assert.rejects(answer, /there is no file/);
  assert.deepEqual(told, []);
});

test("a kernel that is busy is said to be, until it answers", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { model, kernel, told } = begin();
  const answer = kernel.ask({ kind: "asset" });
  t.mock.timers.tick(9_999);
  assert.deepEqual(told, []);
  t.mock.timers.tick(1);
  assert.match(told[0], /has not answered yet; it is busy/);
  model.reply(0, {});
  await answer;
  assert.deepEqual(told.slice(1), [""]);
});

test("a kernel that knows no such widget is idle again without a reply", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { model, kernel, told } = begin();
  const answer = kernel.ask({ kind: "asset" });
  model.sent[0].callbacks.iopub.status({ content: { execution_state: "busy" } });
  t.mock.timers.tick(1000);
  assert.deepEqual(told, []);
  model.sent[0].callbacks.iopub.status(idle);
  t.mock.timers.tick(1000);
  await assert.rejects(answer, /the kernel does not answer; it was restarted, or has stopped/);
  assert.match(told[0], /^Not live: the kernel does not answer/);
});

test("a reply that comes before the kernel is idle is taken", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { model, kernel, told } = begin();
  const answer = kernel.ask({ kind: "asset" });
  model.reply(0, { name: "here" });
  model.sent[0].callbacks.iopub.status(idle);
  t.mock.timers.tick(60_000);
  assert.equal((await answer).name, "here");
  assert.deepEqual(told, []);
});

test("a kernel that is restarted answers nothing that is open", async () => {
  const { model, kernel, told } = begin();
  const answers = [kernel.ask({ kind: "asset" }), kernel.ask({ kind: "asset" })];
  model.trigger("comm_live_update");
  for (const answer of answers) await assert.rejects(answer, /the kernel does not answer/);
  assert.match(told[0], /Run the cell again\.$/);
});

test("without a kernel nothing can be sent", async () => {
  const { model, kernel } = begin();
  model.send = () => { throw new Error("Cannot send"); };
  await assert.rejects(kernel.ask({ kind: "asset" }), /the kernel does not answer/);
});

test("a closed view hears nothing and tells nothing", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { model, kernel, told } = begin();
  kernel.ask({ kind: "asset" });
  kernel.close();
  model.trigger("comm_live_update");
  t.mock.timers.tick(60_000);
  assert.deepEqual(told, []);
});

test("a picture that was not taken is given again", async () => {
  const { model, kernel } = begin();
  const engine = new KernelEngine(kernel, "demo_scale");
  const picture = { pixels: new Uint8Array(3), height: 1, width: 1 };
  const first = engine.number(picture);
  model.reply(0, { error: "MemoryError" });
  await assert.rejects(first, /MemoryError/);
  const second = engine.number(picture);
  model.reply(1, { number: 4 });
  assert.equal(await second, 4);
  assert.equal(engine.number(picture), second);
});

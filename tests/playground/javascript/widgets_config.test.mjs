// The settings that a page with widgets starts with: all addresses are our own, below whatever path.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const source = readFileSync(new URL("../../../book/assets/widgets_config.js", import.meta.url), "utf8");

/** Run the script as a page at `address` would. */
function load(address, MathJax) {
  const listeners = {};
  const window = { MathJax, addEventListener: (name, listener) => (listeners[name] = listener) };
  const document = { currentScript: { src: address } };
  vm.runInNewContext(source, { window, document, URL });
  return { window, listeners };
}

test("the folder of static files is published, below a sub-path and without the version", () => {
  const { window } = load("https://host.example/a/b/_static/widgets_config.js?v=12ab");
  assert.equal(window.dmnetStatic, "https://host.example/a/b/_static/");
});

test("every package that a widget asks for has an address of our own", () => {
  const { window } = load("https://host.example/_static/widgets_config.js");
  const names = ["base", "base7", "controls", "controls7", "html-manager", "html-manager/dist/libembed-amd"];
  for (const name of names) {
    assert.equal(window.require.paths[`@jupyter-widgets/${name}`], `${window.dmnetStatic}widgets/embed-amd`);
  }
  assert.equal(window.require.paths.anywidget, `${window.dmnetStatic}widgets/anywidget/index`);
  assert.equal(Object.keys(window.require.paths).length, names.length + 1);
});

test("widgets typeset their texts with MathJax 3", async () => {
  const typeset = [];
  const MathJax = {
    startup: { promise: Promise.resolve() },
    typesetPromise: async (elements) => typeset.push(...elements),
  };
  const { window, listeners } = load("https://host.example/_static/widgets_config.js", MathJax);
  listeners.load();
  await window.MathJax.Hub.Queue(["Typeset", window.MathJax.Hub, "an element"]);
  assert.deepEqual(typeset, ["an element"]);
});

test("a page without formulas has no hub to ask", () => {
  const { window, listeners } = load("https://host.example/_static/widgets_config.js", undefined);
  listeners.load();
  assert.equal(window.MathJax, undefined);
});

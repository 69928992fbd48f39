// Settings that must be there before require.js and the widgets are loaded. Only pages that hold a Jupyter widget
// have this script: see book/extensions/offline.py.
"use strict";

(() => {
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const here = new URL("./", script.src).href; // the folder of the static files, with a "/" at its end
  window.dmnetStatic = here;

  // One bundle holds all of these. Named here, none of them is looked for on another host; the loader also finds
  // the icon fonts through them, in the same folder.
  const bundle = `${here}widgets/embed-amd`;
  const bundled = ["base", "base7", "controls", "controls7", "html-manager", "html-manager/dist/libembed-amd"];
  const names = bundled.map((name) => [`@jupyter-widgets/${name}`, bundle]);
  const paths = Object.fromEntries([...names, ["anywidget", `${here}widgets/anywidget/index`]]);
  window.require = { paths, waitSeconds: 60 };

  // Widgets typeset their texts with a function of MathJax 2; the book has MathJax 3. Registered before the
  // widgets are drawn, which is at the same event.
  window.addEventListener("load", () => {
    const mathjax = window.MathJax;
    if (!mathjax?.startup) return; // no formula on this page
    const ready = mathjax.startup.promise;
    mathjax.Hub = {
      /** @param {[string, unknown, HTMLElement]} task "Typeset", the hub, an element */
      Queue: ([, , element]) => ready.then(() => mathjax.typesetPromise([element])),
    };
  });
})();

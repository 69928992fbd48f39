/**
 * The playground: the reader changes the scales' weights, and the network answers.
 *
 * One front end for three places. As an anywidget in a notebook (`render`) the kernel's network answers, or the
 * exported one in the browser; on a page of the book (`start`) the answers that came with the scene are shown
 * at once, and the exported network takes over when it has loaded.
 *
 * @import { State } from "./address.js"
 * @import { Answer, Assets, Scene } from "./engines.js"
 * @import { World } from "./results.js"
 */
import { fromFragment, START, toFragment } from "./address.js";
import { isDark, make, makePanel, percent, say } from "./elements.js";
import { BrowserEngine, Kernel, KernelEngine, pageAssets, precomputed, readScene } from "./engines.js";
import { iou, mean, shareChanged } from "./numbers.js";
import { paintDifference, paintLabels, paintPicture, paintRevealed } from "./paint.js";
import { PictureError, readPicture, toPicture } from "./pictures.js";
import { classList, dropBars, groupScores, statisticsTable } from "./results.js";
import { ScaleCards } from "./scales.js";
import { Tour } from "./tour.js";

const OWN = "own";

export class Playground {
  /**
   * @param {HTMLElement} root is filled
   * @param {Assets} assets
   * @param {Partial<State>} start
   * @param {{kernel?: Kernel, engine: "kernel" | "browser", address: boolean}} options
   */
  constructor(root, assets, start, options) {
    this.root = root;
    this.assets = assets;
    this.options = options;
    /** @type {State} */
    this.start = { ...START, ...start };
    /** @type {State} */
    this.state = { ...this.start };
    /** @type {World[]} */
    this.worlds = [];
    /** @type {Map<string, Promise<Scene>>} */
    this.scenes = new Map();
    /** @type {Map<string, Promise<BrowserEngine | KernelEngine>>} */
    this.engines = new Map();
    /** @type {Map<string, BrowserEngine | KernelEngine>} those that are ready */
    this.ready = new Map();
    /** @type {WeakMap<Scene, Answer>} the full network's answers */
    this.full = new WeakMap();
    /** @type {Answer | null} */
    this.answer = null;
    this.turn = 0; // counts the changes: an answer that comes too late is dropped
    this.reveal = "";
    /** @type {((state: State) => void)[]} */
    this.listeners = [];
    this.build();
  }

  // What is on the page ---------------------------------------------------------------------------------

  build() {
    const button = (/** @type {string} */ text, /** @type {() => void} */ act, /** @type {string} */ title) =>
      make("button", { type: "button", onclick: act, title }, text);
    this.select = make("select", { "aria-label": "Scene", onchange: () => this.set({ scene: this.select.value, lender: "" }) });
    this.tour = new Tour((state) => this.set(state), () => this.tourButton.focus());
    this.tourButton = button("Tour", () => this.tour.go(0), "Five steps, with a guess before each");
    this.shareButton = button("Share", () => this.share(), "Copy the address of what you see");
    const toolbar = make(
      "div.toolbar", {},
      make("div.chooser", {}, button("‹", () => this.step(-1), "Previous scene"), this.select, button("›", () => this.step(1), "Next scene")),
      make("div.actions", {}, this.tourButton, this.shareButton, button("Reset", () => this.reset(), "Everything as it was")),
    );
    this.hint = make("p.hint");
    this.picture = makePanel("picture");
    this.prediction = makePanel("prediction");
    this.truth = makePanel("truth");
    this.difference = makePanel("changed");
    this.panels = make("div.panels", {}, ...[this.picture, this.prediction, this.truth, this.difference].map((panel) => panel.figure));
    this.summary = make("p.summary");
    this.scales = new ScaleCards((i, gate) => this.set({ gates: this.state.gates.map((old, j) => (j === i ? gate : old)) }));
    this.channel = make("select", { onchange: () => this.set({ channel: Number(this.channel.value) }) }, make("option", { value: -1 }, "mean of all channels"));
    this.lender = make("select", { onchange: () => this.set({ lender: this.lender.value }) });
    this.revealed = make("select", { onchange: () => { this.reveal = this.revealed.value; this.paint(); } });
    const choices = make(
      "div.choices", {},
      make("label", {}, make("span", {}, "Show"), this.channel),
      make("label", {}, make("span", {}, "Filters of"), this.lender),
      (this.revealChoice = make("label", {}, make("span", {}, "Reveal"), this.revealed)),
    );
    this.classes = make("div.scores");
    this.matters = make("div.body");
    this.mattersBox = make("details.matters", { ontoggle: () => this.showMatters() }, make("summary", {}, "Which scale matters here?"), this.matters);
    this.live = make("p.aloud", { role: "status", "aria-live": "polite" });
    this.engineState = make("span.engine");
    this.message = make("p.message", { role: "alert", hidden: true });
    this.root.replaceChildren(make(
      "section.dmnet-app", { "aria-label": "Playground: switch the network's scales on and off" },
      toolbar, this.hint, this.tour.element, this.panels, this.summary, this.scales.element, choices,
      make("div.below", {}, this.classes, this.mattersBox), this.buildFooter(button), this.message, this.live,
    ));
    this.app = /** @type {HTMLElement} */ (this.root.firstElementChild);
    this.app.addEventListener("keydown", (event) => this.key(event));
    this.takeDrops();
  }

  /** @param {(text: string, act: () => void, title: string) => HTMLElement} button */
  buildFooter(button) {
    const file = make("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.own(file.files[0]).then(() => (file.value = "")) });
    const buttons = [button("Own picture…", () => file.click(), "It stays in this browser; you can also drop it here"), file];
    if (globalThis.isSecureContext && navigator.mediaDevices?.getUserMedia) {
      buttons.push(button("Camera…", () => this.camera(), "The picture stays in this browser"));
    }
    buttons.push(button("Save image", () => this.download(), "The four panels as a PNG file"));
    this.privacy = make("span.privacy", {}, this.options.engine === "kernel"
      ? "A picture of your own goes to this notebook's kernel and nowhere else."
      : "A picture of your own never leaves this browser.");
    return make("div.footer", {}, make("div.actions", {}, ...buttons), make("p.fine", {}, this.privacy, " ", this.engineState));
  }

  // State -----------------------------------------------------------------------------------------------

  /** Read the catalogue, take the state from the address, and show the first scene. */
  async begin() {
    const catalogue = JSON.parse(new TextDecoder().decode(await this.assets.get("catalogue.json")));
    this.worlds = catalogue.worlds;
    this.start.scene ||= this.worlds[0].scenes[0].id;
    const known = (/** @type {string} */ id) => this.worlds.some((world) => world.scenes.some((scene) => scene.id === id));
    this.state = this.options.address ? fromFragment(location.hash, this.start, known) : { ...this.state, scene: this.state.scene || this.start.scene };
    this.select.append(...this.worlds.map((world) => make("optgroup", { label: world.title }, ...world.scenes.map((scene) => make("option", { value: scene.id }, scene.title)))));
    await this.refresh();
    this.engine().catch(() => {}); // told in the footer
  }

  /** @param {Partial<State>} changes */
  set(changes) {
    const world = this.world;
    Object.assign(this.state, changes);
    if (this.world !== world) this.state.channel = -1;
    this.listeners.forEach((listener) => listener(this.state));
    if (this.options.address && this.state.scene !== OWN) history.replaceState(history.state, "", toFragment(this.state));
    return this.refresh();
  }

  reset() {
    this.revealed.value = this.reveal = "";
    this.scales.weights.fill(1);
    this.say("");
    const scene = this.state.scene === OWN ? this.start.scene : this.state.scene;
    return this.set({ ...START, scene });
  }

  /** @param {number} by */
  step(by) {
    const all = this.worlds.flatMap((world) => world.scenes.map((scene) => scene.id));
    const at = all.indexOf(this.state.scene);
    this.set({ scene: all[(at + by + all.length) % all.length], lender: "" });
  }

  /** The world that the scene shown belongs to; an own picture belongs to the world that was shown before. */
  get world() {
    const world = this.worlds.find((one) => one.scenes.some((scene) => scene.id === this.state.scene));
    return (this.lastWorld = world ?? this.lastWorld ?? this.worlds[0]);
  }

  /**
   * @param {string} id
   * @returns {Promise<Scene>}
   */
  scene(id) {
    let scene = this.scenes.get(id);
    if (!scene) {
      const entry = this.worlds.flatMap((world) => world.scenes).find((one) => one.id === id);
      if (!entry) return Promise.reject(new Error(`there is no scene ${id}`));
      scene = readScene(this.assets, entry.file);
      scene.catch(() => this.scenes.delete(id)); // so that it can be asked for again
      this.scenes.set(id, scene);
    }
    return scene;
  }

  /** The network of the present world; the first time it is loaded. */
  engine() {
    const { name, model } = this.world;
    let engine = this.engines.get(name);
    if (!engine) {
      const { kernel } = this.options;
      if (this.options.engine === "kernel" && kernel) engine = Promise.resolve(new KernelEngine(kernel, name));
      else engine = model ? BrowserEngine.load(this.assets, model) : Promise.reject(new Error("there is no exported network"));
      this.engines.set(name, engine);
      say(this.engineState, "The network is loading; until then the answers are precomputed.");
      engine.then(
        (ready) => {
          this.ready.set(name, ready);
          say(this.engineState, `Live: the network runs ${ready.name}.`);
          return this.refresh();
        },
        (error) => {
          console.warn("playground: the network cannot run here.", error);
          say(this.engineState, "The network cannot run here: the switches show precomputed answers, weights between 0 and 1 have none.");
          this.app.classList.add("still");
          return this.refresh();
        },
      );
    }
    return engine;
  }

  // Answers ---------------------------------------------------------------------------------------------

  /** Ask for the answer to the present state, and show it unless the state has changed meanwhile. */
  async refresh() {
    const turn = ++this.turn;
    this.showControls();
    try {
      const scene = await this.scene(this.state.scene);
      const lender = this.state.lender ? await this.scene(this.state.lender) : null;
      if (turn !== this.turn) return;
      this.present = scene;
      this.engine().catch(() => {});
      const engine = this.ready.get(this.world.name);
      const answer = engine
        ? await this.ask(engine, scene, lender, turn)
        : this.state.lender || this.state.channel >= 0 ? null : precomputed(scene, this.state.gates);
      if (turn !== this.turn) return;
      if (!answer) return this.wait(scene);
      this.answer = answer;
      if (!this.full.has(scene)) this.full.set(scene, /** @type {Answer} */ (precomputed(scene, [1, 1, 1, 1])));
      this.show();
    } catch (error) {
      if (turn !== this.turn) return;
      this.say(`This cannot be shown: ${/** @type {Error} */ (error).message}`);
    }
  }

  /**
   * @param {BrowserEngine | KernelEngine} engine
   * @param {Scene} scene
   * @param {Scene | null} lender
   * @param {number} turn
   */
  async ask(engine, scene, lender, turn) {
    const { picture } = scene;
    if (!this.full.has(scene)) {
      this.full.set(scene, await engine.answer({ picture, gates: [1, 1, 1, 1], channel: -1, lender: null }));
    }
    while (this.asking) {
      await this.asking; // of the changes that come while the network runs only the last one is asked
      if (turn !== this.turn) return null;
    }
    const { gates, channel } = this.state;
    const answer = engine.answer({ picture, gates: [...gates], channel, lender: lender?.picture ?? null });
    this.asking = answer.then(() => {}, () => {}).finally(() => (this.asking = null));
    return answer;
  }

  /**
   * Show what can be shown of a scene while the network that must answer is loading, or cannot run.
   * @param {Scene} scene
   */
  wait(scene) {
    paintPicture(this.picture.canvas, scene.picture);
    this.scales.show(this.state.gates, null, "");
    say(this.summary, this.app.classList.contains("still")
      ? "This needs the network, which cannot run here. Switches alone are answered."
      : "The network is still loading …");
  }

  // Showing ---------------------------------------------------------------------------------------------

  /** The controls, which never wait for an answer. */
  showControls() {
    const { scene, gates, channel, lender } = this.state;
    const world = this.world;
    this.select.value = scene;
    this.select.classList.toggle("none", scene === OWN);
    say(this.hint, scene === OWN ? "Your picture. The network knows coins and quilts only, and takes everything for one of its classes." : world.hint);
    this.fillOnce(this.lender, `${world.name} ${scene}`, () => [
      make("option", { value: "" }, "this picture"),
      ...world.scenes.filter((one) => one.id !== scene).map((one) => make("option", { value: one.id }, one.title)),
    ]);
    this.lender.value = lender;
    this.channel.value = String(channel);
    this.scales.show(gates, null, "");
  }

  /**
   * Fill a list of choices, unless it is the one that is there already.
   * @param {HTMLSelectElement} select
   * @param {string} key
   * @param {() => HTMLElement[]} options
   */
  fillOnce(select, key, options) {
    if (select.dataset.key === key) return;
    select.dataset.key = key;
    select.replaceChildren(...options());
  }

  show() {
    const [scene, answer] = [this.present, this.answer];
    if (!scene || !answer) return;
    const full = /** @type {Answer} */ (this.full.get(scene));
    const { classes } = this.world;
    this.scores = scene.truth && iou(answer.labels, scene.truth, classes.length);
    this.fullScores = scene.truth && iou(full.labels, scene.truth, classes.length);
    this.changed = shareChanged(answer.labels, full.labels);
    if (answer.channels) {
      this.fillOnce(this.channel, String(answer.channels), () => [
        make("option", { value: -1 }, `mean of ${answer.channels} channels`),
        ...Array.from({ length: answer.channels }, (_, c) => make("option", { value: c }, `channel ${c + 1}`)),
      ]);
      this.channel.value = String(this.state.channel);
    }
    const { channel } = this.state;
    this.scales.show(this.state.gates, answer, channel < 0 ? "mean of the channels" : `channel ${channel + 1}`);
    this.fillOnce(this.revealed, this.state.scene, () => [
      make("option", { value: "" }, "nothing"),
      ...scene.facts.statistics.map((one, i) => make("option", { value: i }, one.question)),
    ]);
    if (this.revealed.selectedIndex < 0) this.revealed.value = this.reveal = "";
    this.revealChoice.hidden = !scene.facts.statistics.length;
    this.paint();
    this.showScores(scene, answer, full);
    this.showMatters();
    this.announce();
    this.tour.look(this.state, {
      now: groupScores(this.world, this.scores ?? []), full: groupScores(this.world, this.fullScores ?? []), changed: this.changed,
    });
    this.app.dispatchEvent(new CustomEvent("dmnet-answer", { bubbles: true }));
  }

  paint() {
    const [scene, answer] = [this.present, this.answer];
    if (!scene || !answer) return;
    const { picture, truth } = scene;
    const { height, width } = picture;
    const { palette } = this.world;
    const full = /** @type {Answer} */ (this.full.get(scene));
    const fact = this.reveal === "" ? null : scene.facts.statistics[Number(this.reveal)];
    const map = (/** @type {string} */ name) => {
      const area = height * width;
      const at = scene.facts.hidden.indexOf(name) * area;
      return /** @type {Uint8Array} */ (scene.tensors.hidden.data).subarray(at, at + area);
    };
    if (fact) paintRevealed(this.picture.canvas, picture, map(fact.seen), map(fact.hidden));
    else paintPicture(this.picture.canvas, picture);
    paintLabels(this.prediction.canvas, answer.labels, height, width, palette);
    this.truth.figure.hidden = !truth;
    this.panels.classList.toggle("three", !truth);
    if (truth) paintLabels(this.truth.canvas, truth, height, width, palette);
    paintDifference(this.difference.canvas, answer.labels, full.labels, height, width, palette, isDark(this.app));
    this.picture.canvas.setAttribute("aria-label", `${this.state.scene === OWN ? "Your picture" : this.select.selectedOptions[0]?.textContent}, ${width} by ${height} pixels`);
    this.prediction.canvas.setAttribute("aria-label", `The network's labels: ${this.described(answer.labels)}`);
    if (truth) this.truth.canvas.setAttribute("aria-label", `The true labels: ${this.described(truth)}`);
    this.difference.canvas.setAttribute("aria-label", `Where the labels differ from those of the full network: ${percent(this.changed ?? 0)} of the pixels`);
  }

  /**
   * Say which classes a label map holds, the most frequent first.
   * @param {Uint8Array} labels
   */
  described(labels) {
    const counts = new Float64Array(256);
    labels.forEach((label) => counts[label]++);
    const { classes } = this.world;
    return classes.map((name, c) => ({ name, share: counts[c] / labels.length })).filter(({ share }) => share > 0)
      .sort((a, b) => b.share - a.share).map(({ name, share }) => `${name} ${percent(share)}`).join(", ");
  }

  /**
   * @param {Scene} scene
   * @param {Answer} answer
   * @param {Answer} full
   */
  showScores(scene, answer, full) {
    const occurring = new Set([...(scene.truth ?? []), ...answer.labels, ...full.labels]);
    occurring.delete(255);
    this.classes.replaceChildren(classList(this.world, occurring, this.scores ?? null, this.fullScores ?? null));
    const changed = `${percent(this.changed ?? 0)} of the pixels differ from the full network`;
    say(this.summary, this.scores && this.fullScores
      ? `mIoU ${percent(mean(this.scores))}, full network ${percent(mean(this.fullScores))} · ${changed}`
      : changed);
  }

  /** What each scale's absence costs, computed when the box is open. */
  async showMatters() {
    const scene = this.present;
    if (!this.mattersBox.open || !scene) return;
    const engine = this.ready.get(this.world.name);
    const full = this.full.get(scene);
    if (!full || this.matters.dataset.for === this.state.scene) return;
    /** @type {Record<string, number[]>} */
    const drops = {};
    for (let i = 0; i < 4; i++) {
      const gates = [1, 1, 1, 1].map((one, j) => (j === i ? 0 : one));
      const without = precomputed(scene, gates) ?? (engine && (await engine.answer({ picture: scene.picture, gates, channel: -1, lender: null })));
      if (!without) return;
      for (const [name, drop] of Object.entries(this.drop(scene, full, without))) (drops[name] ??= []).push(drop);
    }
    if (scene !== this.present) return;
    this.matters.dataset.for = this.state.scene;
    this.matters.replaceChildren(make("p", {}, scene.truth
      ? "Loss of IoU in percentage points when this scale alone is switched off:"
      : "Share of the pixels that change when this scale alone is switched off:"), dropBars(drops));
    if (scene.facts.statistics.length) {
      this.matters.append(make("p", {}, "And the true statistic: how many would be answered rightly by the majority of the tiles in a window around them? A k × k filter averages over about 8k pixels."), statisticsTable(scene.facts.statistics));
    }
  }

  /**
   * @param {Scene} scene
   * @param {Answer} full
   * @param {Answer} without
   * @returns {Record<string, number>}
   */
  drop(scene, full, without) {
    if (!scene.truth) return { pixels: shareChanged(full.labels, without.labels) };
    const count = this.world.classes.length;
    const [before, after] = [full, without].map(({ labels }) => groupScores(this.world, iou(labels, /** @type {Uint8Array} */ (scene.truth), count)));
    return Object.fromEntries(Object.keys(before).map((name) => [name, before[name] - (after[name] ?? 0)]));
  }

  /** Tell a screen reader, once the reader has stopped moving things. */
  announce() {
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => {
      const off = this.state.gates.flatMap((gate, i) => (gate === 0 ? [`${2 * i + 1} by ${2 * i + 1}`] : []));
      say(this.live, `${off.length ? `Off: ${off.join(", ")}.` : "All scales on."} ${this.summary.textContent}`);
    }, 500);
  }

  /**
   * Show a message; "" takes it away.
   * @param {string} text
   */
  say(text) {
    this.message.hidden = !text;
    say(this.message, text);
  }

  // What else the reader does ---------------------------------------------------------------------------

  /** @param {KeyboardEvent} event the keys 1, 3, 5 and 7 are the switches */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input:not([type=checkbox])")) return;
    const scale = ["1", "3", "5", "7"].indexOf(event.key);
    if (scale < 0) return;
    this.scales.cards[scale].toggle.click();
    event.preventDefault();
  }

  takeDrops() {
    const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ on) => {
      event.preventDefault();
      this.app.classList.toggle("dropping", on);
    };
    this.app.addEventListener("dragover", (event) => over(event, true));
    this.app.addEventListener("dragleave", (event) => over(event, false));
    this.app.addEventListener("drop", (event) => {
      over(event, false);
      const file = event.dataTransfer?.files[0];
      if (file) this.own(file);
    });
  }

  /**
   * Show a picture of the reader's own.
   * @param {Blob | undefined} file
   */
  async own(file) {
    if (!file) return;
    try {
      this.takeOwn(await readPicture(file));
      this.say("");
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      this.say(error.message);
    }
  }

  /** @param {import("./numbers.js").Picture} picture */
  takeOwn(picture) {
    this.scenes.set(OWN, Promise.resolve({ picture, truth: null, tensors: {}, facts: { hidden: [], statistics: [] } }));
    delete this.matters.dataset.for;
    return this.set({ scene: OWN, lender: "" });
  }

  /** Take a picture with the camera: a preview, a button, and nothing is kept. */
  async camera() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      const video = make("video", { autoplay: true, playsinline: true, muted: true, "aria-label": "Camera preview" });
      video.srcObject = stream;
      const end = () => {
        stream.getTracks().forEach((track) => track.stop());
        box.remove();
      };
      const take = () => {
        this.takeOwn(toPicture(video, video.videoWidth, video.videoHeight));
        end();
      };
      const buttons = [make("button.primary", { type: "button", onclick: take }, "Take it"), make("button", { type: "button", onclick: end }, "Cancel")];
      const box = make("div.camera", {}, video, make("div.buttons", {}, ...buttons));
      this.panels.before(box);
      buttons[0].focus();
    } catch {
      this.say("No picture could be taken: there is no camera, or its use was not allowed.");
    }
  }

  async share() {
    if (this.state.scene === OWN) return this.say("A picture of your own is not part of an address: nobody else can open it.");
    const address = this.options.address ? new URL(toFragment(this.state), location.href).href : toFragment(this.state);
    try {
      await navigator.clipboard.writeText(address);
      say(this.shareButton, "Copied");
      say(this.live, "The address was copied.");
      setTimeout(() => say(this.shareButton, "Share"), 1500);
    } catch {
      this.say(`The address of what you see: ${address}`);
    }
  }

  /** Save the panels, side by side, as a PNG file. */
  download() {
    const panels = [this.picture, this.prediction, this.truth, this.difference].filter(({ figure }) => !figure.hidden);
    const [side, gap, line] = [320, 12, 26];
    const canvas = make("canvas", { width: panels.length * (side + gap) + gap, height: side + line + 2 * gap });
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    [context.fillStyle, context.font, context.imageSmoothingEnabled] = ["#333", "15px sans-serif", false];
    panels.forEach(({ canvas: panel, figure }, i) => {
      const [x, factor] = [gap + i * (side + gap), side / Math.max(panel.width, panel.height)];
      context.drawImage(panel, x, gap, panel.width * factor, panel.height * factor);
      context.fillText(figure.querySelector("figcaption")?.textContent ?? "", x, side + gap + line - 6);
    });
    const link = make("a", { href: canvas.toDataURL("image/png"), download: `playground-${this.state.scene}-${this.state.gates.join("-")}.png` });
    link.click();
  }
}

/**
 * As an anywidget, in a notebook.
 * @param {{model: any, el: HTMLElement}} view
 */
function render({ model, el }) {
  const kernel = new Kernel(model);
  const read = () => ({ scene: model.get("scene"), gates: model.get("scale_gates"), channel: model.get("channel"), lender: model.get("lender") });
  const playground = new Playground(el, kernel.assets(), read(), { kernel, engine: model.get("engine"), address: false });
  playground.listeners.push(({ scene, gates, channel, lender }) => {
    model.set({ scale_gates: [...gates], channel, lender, ...(scene === OWN ? {} : { scene }) });
    model.save_changes();
  });
  const changed = () => {
    const [now, then] = [read(), playground.state];
    const own = then.scene === OWN ? { scene: OWN } : {}; // the kernel knows nothing of it
    if (JSON.stringify({ ...then, ...own }) === JSON.stringify({ ...now, ...own })) return;
    Object.assign(playground.state, now, own);
    playground.refresh();
  };
  model.on("change:scale_gates change:scene change:channel change:lender", changed);
  playground.begin().catch((error) => playground.say(`The playground cannot begin: ${error.message}`));
  return () => {
    model.off("change:scale_gates change:scene change:channel change:lender", changed);
    kernel.close();
  };
}

/** On a page of the book: fill every place that is kept for a playground. The first one has the address. */
function start() {
  const base = new URL("./", import.meta.url);
  document.querySelectorAll("[data-dmnet-playground]").forEach((place, i) => {
    const element = /** @type {HTMLElement} */ (place);
    const state = JSON.parse(element.dataset.dmnetPlayground || "{}");
    const still = [...element.childNodes];
    const playground = new Playground(element, pageAssets(base), state, { engine: "browser", address: i === 0 });
    Object.assign(element, { playground }); // for the console, and for tests
    playground.begin().catch((error) => {
      console.warn("playground:", error);
      element.replaceChildren(...still);
      element.classList.add("without-script");
    });
  });
}

if (!import.meta.url.startsWith("blob:") && globalThis.document) start();

export default { render };

/**
 * The playground: the reader changes the scales' weights, and the network answers.
 *
 * One front end for three places. As an anywidget in a notebook (`render`) the kernel's network answers, or the
 * exported one in the browser; on a page of the book (`fillPlaces`) the answers that came with the scene are shown
 * at once, and the exported network takes over when it has loaded.
 *
 * @import { State } from "./address.js"
 * @import { Answer, Assets, Scene } from "./engines.js"
 * @import { World } from "./results.js"
 */
import { fromFragment, START, toFragment } from "./address.js";
import { isDark, make, percent, say } from "./elements.js";
import { BrowserEngine, Kernel, KernelEngine, pageAssets, precomputed, readScene } from "./engines.js";
import { iou, mean, occurringIn, shareChanged } from "./numbers.js";
import { paintDifference, paintLabels, paintPicture, paintRevealed } from "./paint.js";
import { PictureError, readPicture, toPicture } from "./pictures.js";
import { classList, dropBars, groupScores, statisticsTable } from "./results.js";
import { Tour } from "./tour.js";
import { View } from "./view.js";

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
    /** @type {Scene | null} */
    this.present = null;
    /** @type {(number | null)[] | null} IoU of every class */
    this.scores = null;
    /** @type {(number | null)[] | null} those of the full network */
    this.fullScores = null;
    this.changed = 0;
    this.turn = 0; // counts the changes: an answer that comes too late is dropped
    /** @type {Promise<void> | null} */
    this.asking = null;
    /** @type {import("./numbers.js").Picture | null} what the canvases of picture and truth hold */
    this.painted = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.announcing = undefined;
    /** @type {World | null} */
    this.lastWorld = null;
    /** @type {((state: State) => void)[]} */
    this.listeners = [];
    this.tour = new Tour((changes) => this.set(changes), () => this.view.tour.focus());
    this.view = new View(this.actions(), this.tour.element, options.engine === "kernel"
      ? "A picture of your own goes to this notebook's kernel and nowhere else."
      : "A picture of your own never leaves this browser.");
    root.replaceChildren(this.view.element);
    this.view.element.addEventListener("keydown", (event) => this.key(event));
    this.takeDrops();
  }

  /** @returns {import("./view.js").Actions} */
  actions() {
    return {
      choose: (scene) => this.set({ scene, lender: "" }),
      step: (by) => this.step(by),
      tour: () => this.tour.go(0),
      share: () => this.share(),
      reset: () => this.reset(),
      weigh: (scale, gate) => this.set({ gates: this.state.gates.map((old, i) => (i === scale ? gate : old)) }),
      channel: (channel) => this.set({ channel }),
      lend: (lender) => this.set({ lender }),
      reveal: () => this.paint(),
      matters: () => this.showMatters(),
      own: (file) => this.own(file),
      camera: () => this.camera(),
      save: () => this.view.save(`playground-${this.state.scene}-${this.state.gates.join("-")}.png`),
    };
  }

  // State -----------------------------------------------------------------------------------------------

  /** Read the catalogue, take the state from the address, and show the first scene. */
  async begin() {
    const catalogue = JSON.parse(new TextDecoder().decode(await this.assets.get("catalogue.json")));
    this.worlds = catalogue.worlds;
    this.start.scene ||= this.worlds[0].scenes[0].id;
    const known = (/** @type {string} */ id) => this.worlds.some((world) => world.scenes.some((scene) => scene.id === id));
    this.state = this.options.address ? fromFragment(location.hash, this.start, known) : { ...this.state, scene: this.state.scene || this.start.scene };
    this.view.scene.append(...this.worlds.map((world) => make("optgroup", { label: world.title }, ...world.scenes.map((scene) => make("option", { value: scene.id }, scene.title)))));
    await this.refresh();
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
    this.view.reveal.value = "";
    this.view.scales.weights.fill(1);
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
      say(this.view.engine, "The network is loading; until then the answers are precomputed.");
      engine.then(
        (ready) => {
          this.ready.set(name, ready);
          say(this.view.engine, `Live: the network runs ${ready.name}.`);
          return this.refresh();
        },
        (error) => {
          console.warn("playground: the network cannot run here.", error);
          say(this.view.engine, "The network cannot run here: the switches show precomputed answers, weights between 0 and 1 have none.");
          this.view.element.classList.add("still");
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
    } finally {
      this.engine().catch(() => {}); // only now, so that the first answer need not share the line; told in the footer
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
    this.painted = null;
    paintPicture(this.view.picture.canvas, scene.picture);
    this.view.scales.show(this.state.gates, null, "");
    say(this.view.summary, this.view.element.classList.contains("still")
      ? "This needs the network, which cannot run here. Switches alone are answered."
      : "The network is still loading …");
  }

  // Showing ---------------------------------------------------------------------------------------------

  /** The controls, which never wait for an answer. */
  showControls() {
    const { scene, gates, channel, lender } = this.state;
    const world = this.world;
    this.view.scene.value = scene;
    this.view.scene.classList.toggle("none", scene === OWN);
    say(this.view.hint, scene === OWN ? "Your picture. The network knows coins and quilts only, and takes everything for one of its classes." : world.hint);
    const others = world.scenes.filter((one) => one.id !== scene);
    this.view.fill(this.view.lender, `${world.name} ${scene}`, [["", "this picture"],
      ...others.map(({ id, title }) => /** @type {[string, string]} */ ([id, title]))]);
    this.view.lender.value = lender;
    this.view.channel.value = String(channel);
    this.view.scales.show(gates, null, "");
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
      this.view.fill(this.view.channel, String(answer.channels), [[-1, `mean of ${answer.channels} channels`],
        ...Array.from({ length: answer.channels }, (_, c) => /** @type {[number, string]} */ ([c, `channel ${c + 1}`]))]);
      this.view.channel.value = String(this.state.channel);
    }
    const { channel } = this.state;
    this.view.scales.show(this.state.gates, answer, channel < 0 ? "mean of the channels" : `channel ${channel + 1}`);
    this.view.fill(this.view.reveal, this.state.scene, [["", "nothing"],
      ...scene.facts.statistics.map(({ question }, i) => /** @type {[number, string]} */ ([i, question]))]);
    this.view.revealChoice.hidden = !scene.facts.statistics.length;
    this.paint();
    this.showScores(scene, answer, full);
    this.showMatters();
    this.announce();
    this.tour.look(this.state, {
      now: groupScores(this.world, this.scores ?? []), full: groupScores(this.world, this.fullScores ?? []), changed: this.changed,
    });
    this.view.element.dispatchEvent(new CustomEvent("dmnet-answer", { bubbles: true }));
  }

  paint() {
    const [scene, answer] = [this.present, this.answer];
    if (!scene || !answer) return;
    const { picture, truth } = scene;
    const { height, width } = picture;
    const { palette } = this.world;
    const full = /** @type {Answer} */ (this.full.get(scene));
    const chosen = this.view.reveal.value;
    const fact = chosen === "" ? null : scene.facts.statistics[Number(chosen)];
    const map = (/** @type {string} */ name) => {
      const area = height * width;
      const at = scene.facts.hidden.indexOf(name) * area;
      return /** @type {Uint8Array} */ (scene.tensors.hidden.data).subarray(at, at + area);
    };
    if (fact) paintRevealed(this.view.picture.canvas, picture, map(fact.seen), map(fact.hidden));
    else if (this.painted !== picture) paintPicture(this.view.picture.canvas, picture);
    paintLabels(this.view.prediction.canvas, answer.labels, height, width, palette);
    this.view.truth.figure.hidden = !truth;
    this.view.panels.classList.toggle("three", !truth);
    if (truth && this.painted !== picture) paintLabels(this.view.truth.canvas, truth, height, width, palette);
    this.painted = fact ? null : picture;
    paintDifference(this.view.difference.canvas, answer.labels, full.labels, height, width, palette, isDark(this.view.element));
    this.view.picture.canvas.setAttribute("aria-label", `${this.state.scene === OWN ? "Your picture" : this.view.scene.selectedOptions[0]?.textContent}, ${width} by ${height} pixels`);
    this.view.prediction.canvas.setAttribute("aria-label", `The network's labels: ${this.described(answer.labels)}`);
    if (truth) this.view.truth.canvas.setAttribute("aria-label", `The true labels: ${this.described(truth)}`);
    this.view.difference.canvas.setAttribute("aria-label", `Where the labels differ from those of the full network: ${percent(this.changed ?? 0)} of the pixels`);
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
    const occurring = occurringIn([answer.labels, full.labels, ...(scene.truth ? [scene.truth] : [])]);
    this.view.classes.replaceChildren(classList(this.world, occurring, this.scores ?? null, this.fullScores ?? null));
    const changed = `${percent(this.changed ?? 0)} of the pixels differ from the full network`;
    say(this.view.summary, this.scores && this.fullScores
      ? `mIoU ${percent(mean(this.scores))}, full network ${percent(mean(this.fullScores))} · ${changed}`
      : changed);
  }

  /** What each scale's absence costs, computed when the box is open. */
  async showMatters() {
    const scene = this.present;
    if (!this.view.mattersBox.open || !scene) return;
    const engine = this.ready.get(this.world.name);
    const full = this.full.get(scene);
    if (!full || this.view.matters.dataset.for === this.state.scene) return;
    /** @type {Record<string, number[]>} */
    const drops = {};
    for (let i = 0; i < 4; i++) {
      const gates = [1, 1, 1, 1].map((one, j) => (j === i ? 0 : one));
      const without = precomputed(scene, gates) ?? (engine && (await engine.answer({ picture: scene.picture, gates, channel: -1, lender: null })));
      if (!without) return;
      for (const [name, drop] of Object.entries(this.drop(scene, full, without))) (drops[name] ??= []).push(drop);
    }
    if (scene !== this.present) return;
    this.view.matters.dataset.for = this.state.scene;
    this.view.matters.replaceChildren(make("p", {}, scene.truth
      ? "What switching off this scale alone does to the IoU, in percentage points:"
      : "Share of the pixels, in per cent, that change when this scale alone is switched off:"), dropBars(drops));
    if (scene.facts.statistics.length) {
      this.view.matters.append(make("p", {}, "And the true statistic: how many would be answered rightly by the majority of the tiles in a window around them? A k × k filter averages over about 8k pixels."), statisticsTable(scene.facts.statistics));
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
      say(this.view.aloud, `${off.length ? `Off: ${off.join(", ")}.` : "All scales on."} ${this.view.summary.textContent}`);
    }, 500);
  }

  /**
   * Show a message; "" takes it away.
   * @param {string} text
   */
  say(text) {
    this.view.message.hidden = !text;
    say(this.view.message, text);
  }

  // What else the reader does ---------------------------------------------------------------------------

  /** @param {KeyboardEvent} event the keys 1, 3, 5 and 7 are the switches */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input:not([type=checkbox])")) return;
    const scale = ["1", "3", "5", "7"].indexOf(event.key);
    if (scale < 0) return;
    this.view.scales.cards[scale].toggle.click();
    event.preventDefault();
  }

  takeDrops() {
    const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ on) => {
      event.preventDefault();
      this.view.element.classList.toggle("dropping", on);
    };
    this.view.element.addEventListener("dragover", (event) => over(event, true));
    this.view.element.addEventListener("dragleave", (event) => over(event, false));
    this.view.element.addEventListener("drop", (event) => {
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
    delete this.view.matters.dataset.for;
    return this.set({ scene: OWN, lender: "" });
  }

  async camera() {
    try {
      await this.view.camera((video) => this.takeOwn(toPicture(video, video.videoWidth, video.videoHeight)));
    } catch {
      this.say("No picture could be taken: there is no camera, or its use was not allowed.");
    }
  }

  async share() {
    if (this.state.scene === OWN) return this.say("A picture of your own is not part of an address: nobody else can open it.");
    const address = this.options.address ? new URL(toFragment(this.state), location.href).href : toFragment(this.state);
    try {
      await navigator.clipboard.writeText(address);
      say(this.view.share, "Copied");
      say(this.view.aloud, "The address was copied.");
      setTimeout(() => say(this.view.share, "Share"), 1500);
    } catch {
      this.say(`The address of what you see: ${address}`);
    }
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
function fillPlaces() {
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

if (!import.meta.url.startsWith("blob:") && globalThis.document) fillPlaces();

export default { render };

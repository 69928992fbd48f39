/**
 * The playground: the reader changes the scales' weights, and the network answers.
 *
 * Where it stands, in a notebook or on a page of the book, main.js knows.
 *
 * @import { State } from "./address.js"
 * @import { Composed } from "./editor.js"
 * @import { Answer, Assets, Kernel, Scene } from "./engines.js"
 * @import { World } from "./results.js"
 */
import { fromFragment, pixelIn, START, toFragment } from "./address.js";
import { Composer, readLayers } from "./compose.js";
import { EMPTY } from "./edits.js";
import { make, paused, percent, say } from "./elements.js";
import { BrowserEngine, KernelEngine, NO_FACTS, precomputed, readScene } from "./engines.js";
import { VOID } from "./maps.js";
import { reasons } from "./matters.js";
import { breath, iou, mean, occurringIn, shareChanged, sharesOf, SIZES } from "./numbers.js";
import { askTheOther } from "./opposite.js";
import { paintDifference, paintPicture, paintRevealed } from "./overlays.js";
import { OwnPictures } from "./own.js";
import { paintLabels } from "./paint.js";
import { isDark } from "./panels.js";
import { toPicture } from "./pictures.js";
import { Pointing } from "./point.js";
import { classList, described, legendOf, revealedIn } from "./results.js";
import { factsOf } from "./steps.js";
import { Strip } from "./strip.js";
import { bring, Tour } from "./tour.js";
import { View } from "./view.js";

/** The scene that is a picture of the reader's. */
export const OWN = "own";
const ALL = [1, 1, 1, 1];

/**
 * An answer that the reader holds.
 * @typedef {object} Held
 * @property {Scene} scene
 * @property {Answer} answer
 * @property {World} world
 * @property {State} state
 * @property {string} name
 */

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
    /** @type {Map<string, string[]>} the changes of the scenes that were shown before */
    this.visited = new Map();
    /** @type {World[]} */
    this.worlds = [];
    /** @type {Map<string, Promise<Scene>>} */
    this.scenes = new Map();
    /** @type {Map<string, Promise<Composer>>} */
    this.composers = new Map();
    /** @type {Map<string, Promise<BrowserEngine | KernelEngine>>} */
    this.engines = new Map();
    /** @type {Map<string, BrowserEngine | KernelEngine>} those that are ready */
    this.ready = new Map();
    /** @type {WeakMap<Scene, Answer>[]} the full network's answers, by the channel that they show */
    this.fulls = [];
    /** @type {Answer | null} */
    this.answer = null;
    /** @type {Scene | null} the one that is shown */
    this.present = null;
    /** @type {Scene | null} the same before the reader changed it */
    this.base = null;
    /** @type {(number | null)[] | null} IoU of every class */
    this.scores = null;
    /** @type {(number | null)[] | null} those of what it is compared with */
    this.otherScores = null;
    /** @type {Held | null} what the reader holds as A */
    this.held = null;
    this.changed = 0;
    this.turn = 0; // counts the changes: an answer that comes too late is dropped
    /** @type {Promise<void> | null} */
    this.asking = null;
    /** @type {import("./numbers.js").Picture | null} what the canvases of picture and truth hold */
    this.painted = null;
    this.announcing = paused(500);
    this.addressing = paused(200); // browsers allow that a few times a second only
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.explaining = undefined;
    /** @type {Map<string, string>} what the footer says of each network */
    this.words = new Map();
    /** @type {Set<string>} those that cannot run here */
    this.failed = new Set();
    /** @type {HTMLCanvasElement | null} the reader's own picture */
    this.own = null;
    /** @type {World | null} whose network that is shown to */
    this.ownWorld = null;
    /** @type {((state: State) => void)[]} */
    this.listeners = [];
    this.tour = /** @type {Tour} */ (new Tour((changes) => this.set(changes), () => this.view, () => this.view.tour.focus()));
    this.view = new View(this.actions(), this.tour.element, options.engine === "kernel"
      ? "A picture of your own goes to this notebook's kernel and nowhere else."
      : "A picture of your own never leaves this browser.");
    root.replaceChildren(this.view.element);
    this.view.element.addEventListener("keydown", (event) => this.key(event));
    this.pointing = new Pointing(this, this.view);
    this.strip = new Strip(this, this.view);
    this.ownPictures = new OwnPictures(this.view, (canvas) => this.takeOwn(canvas), (text) => {
      this.say(text);
      if (text) bring(this.view.message);
    });
  }

  /** @returns {import("./view.js").Actions} */
  actions() {
    return {
      choose: (scene) => this.choose(scene),
      tour: () => {
        this.release(); // it speaks of the full network
        this.tour.go(0);
      },
      share: () => this.share(),
      reset: () => this.reset(),
      weigh: (scale, gate) => this.set({ gates: this.state.gates.map((old, i) => (i === scale ? gate : old)) }),
      channel: (channel) => this.set({ channel }),
      lend: (donor) => this.set({ donor }),
      swap: () => this.set({ scene: this.state.donor, donor: this.state.scene }),
      hold: () => { this.hold(); bring(this.view.difference.figure); }, // where it is shown
      exchange: () => this.exchange(),
      release: () => this.release(),
      edit: () => this.toggleEditor(),
      change: (edits) => this.set({ edits }),
      prepare: () => this.composer(this.state.scene).catch(() => {}), // told when it is wanted
      reveal: (reveal) => this.set({ reveal }),
      matters: () => this.showMatters(),
      own: (file) => this.ownPictures.read(file),
      camera: () => this.ownPictures.camera(),
      draw: () => this.draw(),
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
    this.state.scene ||= this.start.scene;
    const pixel = this.options.address ? pixelIn(location.hash) : null;
    if (this.options.address) this.state = fromFragment(location.hash, this.start, known);
    this.listScenes();
    await this.refresh();
    if (pixel) this.pointing.pin(pixel);
  }

  /** List the scenes, world by world; the reader's own picture can be shown to every network. */
  listScenes() {
    this.view.scene.replaceChildren(...this.worlds.map(({ name, title: label, scenes }) => {
      const options = scenes.map(({ id, title }) => make("option", { value: id }, title));
      if (this.own) options.push(make("option", { value: `${OWN} ${name}` }, "Your picture"));
      return options.length ? make("optgroup", { label }, ...options) : "";
    }));
  }

  /** @param {string} scene its id, or that of the reader's own picture and the name of a network */
  choose(scene) {
    const world = this.worlds.find(({ name }) => scene === `${OWN} ${name}`);
    return world ? this.showOwn(world) : this.set({ scene, donor: "" });
  }

  /** @param {Partial<State>} changes */
  set(changes) {
    const [world, { scene, edits }] = [this.world, this.state];
    this.visited.set(scene, edits);
    Object.assign(this.state, changes);
    if (this.world !== world) [this.state.channel, this.state.reveal] = [-1, -1];
    if (this.state.scene !== scene && this.pointing.kept) this.pointing.keep(null); // it is a place of that scene
    if (this.state.scene !== scene && !changes.edits) this.state.edits = this.visited.get(this.state.scene) ?? [];
    if (this.state.donor === this.state.scene && !this.state.edits.length) this.state.donor = ""; // it is the same
    this.listeners.forEach((listener) => listener(this.state));
    this.writeAddress();
    return this.refresh();
  }

  get fragment() {
    return toFragment(this.state, this.pointing.pixel);
  }

  /** Put the state into the page's address, once the reader pauses. */
  writeAddress() {
    this.addressing(() => {
      if (!this.options.address || this.state.scene === OWN) return;
      history.replaceState(history.state, "", this.fragment);
    });
  }

  reset() {
    this.view.scales.weights.fill(1);
    this.strip.lends.checked = false;
    if (!this.tour.element.hidden) this.tour.close();
    this.say("");
    this.release();
    this.pointing.keep(null);
    const scene = this.state.scene === OWN ? this.start.scene : this.state.scene;
    return this.set({ ...START, edits: [], scene });
  }

  /** The channel of filters and responses that is shown. */
  get channel() {
    const { state: { channel }, world } = this;
    return channel < 0 || channel >= world.channels ? world.channel : channel;
  }

  get full() {
    return (this.fulls[this.channel] ??= new WeakMap());
  }

  /** The world that the scene shown belongs to. */
  get world() {
    const world = this.worlds.find((one) => one.scenes.some((scene) => scene.id === this.state.scene));
    return world ?? this.ownWorld ?? this.worlds[0];
  }

  /**
   * What the catalogue says of a scene.
   * @param {string} id
   */
  entry(id) {
    return this.worlds.flatMap((world) => world.scenes).find((one) => one.id === id);
  }

  /**
   * @param {string} id
   * @returns {Promise<Scene>}
   */
  scene(id) {
    let scene = this.scenes.get(id);
    if (!scene) {
      const entry = this.entry(id);
      if (!entry) return Promise.reject(new Error(`there is no scene ${id}`));
      scene = readScene(this.assets, entry.file);
      scene.catch(() => this.scenes.delete(id)); // so that it can be asked for again
      this.scenes.set(id, scene);
    }
    return scene;
  }

  /**
   * The layers of a scene, which are asked for when it is to be changed.
   * @param {string} id
   * @returns {Promise<Composer>}
   */
  composer(id) {
    let composer = this.composers.get(id);
    if (!composer) {
      const file = this.entry(id)?.layers;
      if (!file) return Promise.reject(new Error("only the drawn scenes can be changed"));
      composer = Promise.all([this.scene(id), this.assets.get(file).then(readLayers)])
        .then(([scene, layers]) => new Composer(scene, layers));
      composer.catch(() => this.composers.delete(id));
      this.composers.set(id, composer);
    }
    return composer;
  }

  /** The network of the present world; the first time it is loaded. */
  engine() {
    const { name, model } = this.world;
    let engine = this.engines.get(name);
    if (!engine) {
      const { kernel } = this.options;
      if (this.options.engine === "kernel" && kernel) engine = Promise.resolve(new KernelEngine(kernel, name));
      else if (model) engine = BrowserEngine.load(this.assets, this.world, model);
      else engine = Promise.reject(new Error("there is no exported network"));
      this.engines.set(name, engine);
      this.words.set(name, `The network ${name} is loading; until then the answers are precomputed.`);
      say(this.view.engine, this.words.get(name) ?? "");
      engine.then(
        (ready) => {
          this.ready.set(name, ready);
          this.words.set(name, `Live: the network ${name} runs ${ready.name}.`);
          return this.refresh();
        },
        (error) => {
          console.warn("playground: the network cannot run here.", error);
          this.failed.add(name);
          this.words.set(name, `The network ${name} cannot run here: ` +
            "the switches show precomputed answers, where there are any; other weights have none.");
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
    this.tour.heed(this.state);
    if (this.view.editor.isOpen && !this.entry(this.state.scene)?.layers) this.view.toggleEditor(); // no drawing
    this.showControls();
    try {
      const base = await this.scene(this.state.scene);
      const donor = this.state.donor ? await this.scene(this.state.donor) : null;
      const composed = await this.composed();
      if (turn !== this.turn) return;
      const scene = composed && this.state.edits.length ? composed.scene : base;
      [this.base, this.present] = [base, scene];
      this.view.editor.showShare(scene);
      if (this.view.editor.isOpen) this.paintScene(scene); // at once: the network's answer follows
      const engine = this.ready.get(this.world.name);
      const answer = engine
        ? await this.ask(engine, base, scene, donor, turn)
        : this.state.donor || this.channel !== this.world.channel ? null : precomputed(scene, this.state.gates);
      if (turn !== this.turn) return;
      if (!answer) return this.wait(scene);
      this.answer = answer;
      if (!this.full.has(scene)) this.full.set(scene, /** @type {Answer} */ (precomputed(scene, ALL)));
      await this.show();
    } catch (error) {
      if (turn !== this.turn) return;
      this.say(`This cannot be shown: ${/** @type {Error} */ (error).message}`);
      say(this.view.summary, "This cannot be shown; why not, is said below.");
      if (this.view.editor.isOpen && !this.composers.has(this.state.scene)) this.view.toggleEditor(); // it has no layers
    } finally {
      this.engine().catch(() => {}); // only now, so that the first answer need not share the line; told in the footer
    }
  }

  /**
   * The scene with the reader's changes, where there are some or the workbench is open.
   * @returns {Promise<Composed | null>}
   */
  async composed() {
    const { scene, edits } = this.state;
    if (scene === OWN || !(edits.length || this.view.editor.isOpen)) return null;
    const composer = await this.composer(scene);
    const composed = composer.compose(edits);
    if (this.state.edits === edits) this.view.editor.show(composer, edits, composed);
    return composed;
  }

  /**
   * Ask for an answer; of the changes that come while the network runs only the last one is asked.
   * @param {BrowserEngine | KernelEngine} engine
   * @param {Scene} base
   * @param {Scene} scene
   * @param {Scene | null} donor
   * @param {number} turn
   */
  async ask(engine, base, scene, donor, turn) {
    while (this.asking) {
      await this.asking;
      if (turn !== this.turn) return null;
    }
    const answer = this.answers(engine, base, scene, donor);
    this.asking = answer.then(() => {}, () => {}).finally(() => (this.asking = null));
    return answer;
  }

  /**
   * @param {BrowserEngine | KernelEngine} engine
   * @param {Scene} base
   * @param {Scene} scene
   * @param {Scene | null} donor
   * @returns {Promise<Answer>}
   */
  async answers(engine, base, scene, donor) {
    const { channel, full, state: { gates } } = this;
    const answer = await engine.answer({ picture: scene.picture, gates: [...gates], channel, donor: donor?.picture ?? null });
    if (gates.every((gate) => gate === 1) && !donor) full.set(scene, answer);
    for (const one of [base, scene]) {
      if (full.has(one)) continue;
      full.set(one, await engine.answer({ picture: one.picture, gates: ALL, channel, donor: null }));
    }
    return answer;
  }

  /**
   * Show what can be shown of a scene while the network that must answer is loading, or cannot run.
   * @param {Scene} scene
   */
  wait(scene) {
    this.paintScene(scene);
    this.view.scales.show(this.state.gates, null, "");
    this.view.element.classList.add("waiting"); // what stands beside the picture is of before
    this.view.prediction.canvas.ariaLabel = "No answer yet";
    say(this.view.summary, this.failed.has(this.world.name)
      ? "This needs the network, which cannot run here. Switches alone are answered."
      : "The network is still loading …");
  }

  // Showing ---------------------------------------------------------------------------------------------

  /** The controls, which never wait for an answer. */
  showControls() {
    const { scene, gates, donor, edits } = this.state;
    const world = this.world;
    this.view.editor.begin(scene, edits);
    this.view.scene.value = scene === OWN ? `${OWN} ${world.name}` : scene;
    const entry = this.entry(scene);
    say(this.view.hint, this.drawn ? `${entry?.title}, emptied for a drawing of yours: choose what to put, and tap on the picture. The network answers as it grows.`
      : scene !== OWN ? world.hint : `Your picture. The network that answers, ${world.name}, knows ${world.knows}, and takes everything for one of its classes.`);
    say(this.view.engine, this.words.get(world.name) ?? "");
    this.view.credits.hidden = !entry?.credit;
    [this.view.credit.textContent, this.view.credit.href] = entry?.credit ?? ["", ""];
    const changed = edits.length > 0;
    const others = world.scenes.filter((one) => changed || one.id !== scene);
    this.view.fill(this.view.donor, `${world.name} ${scene} ${changed}`, [["", "this picture"],
      ...others.map(({ id, title }) => /** @type {[string, string]} */ ([id, id === scene ? `${title}, as it was` : title]))]);
    this.view.donor.value = donor;
    this.view.donorChoice.hidden = !others.length;
    this.view.swap.hidden = !donor || donor === scene || scene === OWN;
    this.view.edit.hidden = !entry?.layers;
    this.view.draw.hidden = !this.canvasFor;
    this.view.edit.classList.toggle("ready", this.view.editor.isOpen);
    this.view.fill(this.view.channel, world.name, Array.from({ length: world.channels }, (_, c) =>
      [c, `channel ${c + 1}${c === world.channel ? ", which varies most" : ""}`]));
    this.view.channel.value = String(this.channel);
    this.view.scales.show(gates, null, "");
    say(this.view.opposite, ""); // of before
    this.strip.show();
  }

  /**
   * What the answer is compared with: what the reader holds, or the full network's; where that is what has answered, and the scene was changed,
   * the full network's answer to the scene before.
   */
  get other() {
    const [scene, base] = [/** @type {Scene} */ (this.present), /** @type {Scene} */ (this.base)];
    if (this.comparable) return { scene: this.comparable.scene, answer: this.comparable.answer, words: "A" };
    const before = scene !== base && !this.drawn && this.state.gates.every((gate) => gate === 1) && !this.state.donor;
    const compared = before ? base : scene;
    const answer = /** @type {Answer} */ (this.full.get(compared));
    return { scene: compared, answer, words: before ? "before" : "the full network" };
  }

  /** Whether the scene was emptied for a drawing of the reader's. */
  get drawn() {
    return this.state.edits.includes(EMPTY);
  }

  /** Id of the scene whose ground a drawing is made on: the one that is shown, or the first that can be changed. */
  get canvasFor() {
    const { scene } = this.state;
    return this.entry(scene)?.layers ? scene : this.worlds.flatMap(({ scenes }) => scenes).find(({ layers }) => layers)?.id;
  }

  /** What is held, where it can be compared with what is shown: of the same network, and of the same size. */
  get comparable() {
    const { held, present, world } = this;
    const same = held && held.world === world && held.scene.picture.height === present?.picture.height &&
      held.scene.picture.width === present.picture.width;
    return same ? held : null;
  }

  /** Show scene and answer: first what the reader looks at, then the rest. */
  async show() {
    const [base, scene, answer] = [this.base, this.present, this.answer];
    if (!base || !scene || !answer) return;
    const { other } = this;
    const { classes } = this.world;
    this.scores = scene.truth && iou(answer.labels, scene.truth, classes.length);
    this.otherScores = other.scene.truth && iou(other.answer.labels, other.scene.truth, classes.length);
    this.changed = shareChanged(answer.labels, other.answer.labels);
    this.view.element.classList.remove("waiting");
    this.paint();
    this.showScores(scene, answer);
    this.pointing.show();
    await breath();
    if (base !== this.base) return; // another scene has been chosen
    const { gates, donor } = this.state;
    const whose = donor ? ` of ${this.entry(donor)?.title}` : "";
    this.view.scales.show(gates, answer, `channel ${this.channel + 1}`, this.full.get(base), whose);
    this.view.fill(this.view.reveal, this.state.scene, [[-1, "nothing"],
      ...scene.facts.questions.map(({ text }, i) => /** @type {[number, string]} */ ([i, text]))]);
    this.view.reveal.value = String(this.state.reveal);
    this.view.revealChoice.hidden = !scene.facts.questions.length;
    clearTimeout(this.explaining);
    this.explaining = setTimeout(() => { this.showMatters(); askTheOther(this).catch(() => {}); }, 400); // not while something is dragged
    this.announce();
    this.view.editor.tell(answer.labels);
    if (this.tour.running) this.tour.look(this.state, factsOf(this.world, scene, answer, this.full.get(scene) ?? answer));
    this.view.element.dispatchEvent(new CustomEvent("dmnet-answer", { bubbles: true }));
  }

  /**
   * Paint the picture, and what is hidden behind it where that is wanted.
   * @param {Scene} scene
   */
  paintScene(scene) {
    const { picture, facts, tensors } = scene;
    const question = facts.questions[this.state.reveal]; // none for -1
    if (!question && this.painted === picture) return;
    const area = picture.height * picture.width;
    const map = (/** @type {string} */ name) => {
      const at = facts.hidden.indexOf(name) * area;
      return /** @type {Uint8Array} */ (tensors.hidden.data).subarray(at, at + area);
    };
    if (question) paintRevealed(this.view.picture.canvas, picture, map(question.seen), map(question.hidden));
    else paintPicture(this.view.picture.canvas, picture);
    say(this.view.picture.caption, question ? revealedIn(question) : "picture");
    this.painted = question ? null : picture;
    const title = this.state.scene === OWN ? "Your picture" : this.view.scene.selectedOptions[0]?.textContent;
    const size = `${picture.width} by ${picture.height} pixels`;
    this.view.picture.canvas.ariaLabel = `${title}${scene === this.base ? "" : ", changed"}, ${size}`;
  }

  paint() {
    const [scene, answer] = [this.present, this.answer];
    if (!scene || !answer) return;
    const { picture: { height, width }, truth } = scene;
    const { palette } = this.world;
    const { answer: { labels }, words } = this.other;
    const held = this.comparable;
    this.paintScene(scene);
    paintLabels(this.view.prediction.canvas, answer.labels, height, width, palette);
    this.view.truth.figure.hidden = !truth;
    if (truth) paintLabels(this.view.truth.canvas, truth, height, width, palette);
    if (held) paintLabels(this.view.difference.canvas, labels, height, width, palette);
    else paintDifference(this.view.difference.canvas, answer.labels, labels, height, width, palette, isDark(this.view.element));
    say(this.view.difference.caption, held ? `A: ${held.name}` : "changed (grey: not)");
    say(this.view.prediction.caption, held ? "prediction, B" : "prediction");
    [this.view.exchange.hidden, this.view.release.hidden, this.view.where.hidden] = [!this.held, !this.held, !held];
    this.view.prediction.canvas.ariaLabel = `The network's labels: ${described(this.world, answer.labels)}`;
    if (truth) this.view.truth.canvas.ariaLabel = `The true labels: ${described(this.world, truth)}`;
    const changed = `${percent(this.changed ?? 0)} of the pixels`;
    this.view.difference.canvas.ariaLabel = held ? `The labels of A, ${held.name}: ${described(this.world, labels)}`
      : `Where the labels differ from ${words}: ${changed}`;
  }

  /**
   * @param {Scene} scene
   * @param {Answer} answer
   */
  showScores(scene, answer) {
    const { other } = this;
    const than = other.words.replace("the ", "");
    const maps = [answer.labels, other.answer.labels, scene.truth, other.scene.truth].filter((map) => map !== null);
    const { classes, resize } = this.world;
    const [now, full] = [answer, other.answer].map(({ labels }) => sharesOf(labels, classes.length));
    this.view.legend.replaceChildren(...legendOf(this.world, occurringIn(maps), scene.truth?.includes(VOID) ?? false));
    this.view.classes.replaceChildren(...(this.scores && this.otherScores
      ? [make("p.fine", {}, `Bars: the IoU of each class; tick: ${than}.${resize ? " Beside each name: the share of the picture that is labelled so." : ""}`),
        classList(this.world, occurringIn(maps), "IoU", this.scores, this.otherScores, resize && now)]
      : [make("p.fine", {}, "The share of the picture that is labelled so:"),
        classList(this.world, occurringIn(maps), "Share of the picture", now, full, null)]));
    const changed = `${percent(this.changed ?? 0)} of the pixels differ from ${other.words}`;
    if (!this.scores || !this.otherScores) return say(this.view.summary, changed);
    if (this.drawn && !scene.facts.objects.length) return say(this.view.summary, "Nothing is there to be scored yet.");
    say(this.view.summary, `mIoU ${percent(mean(this.scores))}, ${than} ${percent(mean(this.otherScores))} · ${changed}`);
  }

  /** Fill the box "Which scale matters here?", when it is open. */
  async showMatters() {
    const { answer, present: scene, state: { donor, edits, gates }, view: { matters, mattersBox } } = this;
    const key = `${this.state.scene} ${edits.join()} ${gates} ${donor}`;
    if (!mattersBox.open || !scene || !answer || matters.dataset.for === key) return;
    matters.style.opacity = "0.4"; // it speaks of before
    const engine = this.ready.get(this.world.name);
    const lent = donor ? (await this.scene(donor)).picture : null;
    const parts = await reasons(this.world, scene, { answer, gates, name: gates.every((gate) => gate === 1) && !donor ? "" : this.name }, async (less) =>
      (answer !== this.answer ? null : (!donor && precomputed(scene, less)) || engine?.answer({ picture: scene.picture, gates: less, channel: this.channel, donor: lent })) ?? null);
    if (!parts || answer !== this.answer) return; // of before; the next is on its way
    [matters.dataset.for, matters.style.opacity] = [key, ""];
    matters.replaceChildren(...parts);
  }

  /** Tell a screen reader, once the reader has stopped moving things. */
  announce() {
    this.announcing(() => {
      const off = this.state.gates.flatMap((gate, i) => (gate === 0 ? [`${2 * i + 1} by ${2 * i + 1}`] : []));
      const scales = off.length ? `Off: ${off.join(", ")}.` : "All scales on.";
      const place = this.pointing.kept ? ` ${this.view.pointed.textContent}` : ""; // what was asked for last stays said
      say(this.view.aloud, `${this.view.editor.words}${scales} ${this.view.summary.textContent}${place} ${this.view.editor.said}`);
    });
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

  /** @param {KeyboardEvent} event the keys 1, 3, 5 and 7 are the switches; the rest is for the workbench */
  key(event) {
    const { editor } = this.view;
    const letter = event.ctrlKey || event.metaKey ? event.key.toLowerCase() : "";
    if (event.defaultPrevented) return;
    if ((editor.isOpen && event.key === "Escape") || letter === "z" || letter === "y") {
      if (event.key === "Escape") this.toggleEditor();
      else if (letter === "y" || event.shiftKey) editor.goForward();
      else editor.goBack();
      event.preventDefault();
      event.stopPropagation(); // a notebook has keys of its own
      return;
    }
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.key === "Escape" && this.pointing.kept) return this.pointing.release();
    if (event.key === "Escape" && this.tour.running && !this.tour.element.contains(target)) return this.tour.focus();
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input:not([type=checkbox])")) return;
    const scale = ["1", "3", "5", "7"].indexOf(event.key);
    if (scale < 0) return;
    this.view.scales.cards[scale].toggle.click();
    event.preventDefault();
  }

  /**
   * Show a picture of the reader's to the network that the last one was shown to, at first to one that knows photographs.
   * @param {HTMLCanvasElement} canvas
   */
  async takeOwn(canvas) {
    this.own = canvas;
    if (this.held?.state.scene === OWN) this.held = null; // that picture is no longer there
    this.listScenes();
    const shown = this.showOwn(this.ownWorld ?? this.worlds.find(({ resize }) => resize) ?? this.world);
    bring(this.view.prediction.figure); // the button is at the foot
    await shown;
  }

  /** @param {World} world whose network is to answer */
  showOwn(world) {
    const picture = toPicture(/** @type {HTMLCanvasElement} */ (this.own), world.resize);
    this.scenes.set(OWN, Promise.resolve({ picture, truth: null, tensors: {}, facts: NO_FACTS }));
    this.ownWorld = world;
    [this.state.channel, this.state.reveal] = [-1, -1];
    delete this.view.matters.dataset.for;
    return this.set({ scene: OWN, donor: "" });
  }

  /** Hold what is shown as A: what follows is compared with it. */
  hold() {
    const { answer, present, world, state } = this;
    if (!answer || !present) return;
    this.held = { answer, scene: present, world, state: { ...state, gates: [...state.gates] }, name: this.name };
    this.show();
  }

  /** Let A go: the full network is compared with again. */
  release() {
    if (!this.held) return;
    this.held = null;
    this.show();
  }

  /** Go back to A, and hold what was shown. */
  exchange() {
    const { held } = this;
    if (!held) return;
    this.hold();
    if (held.state.scene === OWN) this.ownWorld = held.world;
    return this.set({ ...held.state, gates: [...held.state.gates] });
  }

  /** What is shown, in a few words. */
  get name() {
    const { scene, gates, donor, edits } = this.state;
    const title = scene === OWN ? "your picture" : this.entry(scene)?.title ?? "";
    const scales = gates.flatMap((gate, i) => (gate === 1 ? [] : [`${SIZES[i]} × ${SIZES[i]} ${gate ? `× ${gate}` : "off"}`]));
    const lent = donor ? [`filters of ${this.entry(donor)?.title}`] : [];
    return [title, ...(edits.length ? ["changed"] : []), ...scales, ...lent].join(", ");
  }

  /** Open or close the workbench. */
  toggleEditor() {
    this.view.toggleEditor();
    return this.refresh();
  }

  /** Open the workbench with nothing on the ground, or with the drawing that is there already. */
  async draw() {
    const scene = this.canvasFor;
    if (!scene) return;
    await this.set({ scene, donor: "", gates: ALL });
    if (!this.view.editor.isOpen) await this.toggleEditor();
    const { editor } = this.view;
    if (!editor.isOpen) return; // the layers are missing, which is said
    if (!this.drawn) editor.draw();
    editor.stage.scrollIntoView();
  }

  async share() {
    if (this.state.scene === OWN) return this.say("A picture of your own is not part of an address: nobody else can open it.");
    const address = this.options.address ? new URL(this.fragment, location.href).href : this.fragment;
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

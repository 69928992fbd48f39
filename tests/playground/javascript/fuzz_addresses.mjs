/** The playground's state out of addresses that nobody wrote: `node fuzz_addresses.mjs 10000`; see tools/fuzz.py. */
import { fromFragment, START, toFragment } from "../../../dmnet/playground/frontend/address.js";
import { readEdit } from "../../../dmnet/playground/frontend/edits.js";

const SCENES = ["scale-26", "context-3", "own"];
const WHOLE = "#play&scene=scale-26&gates=1,0,1,0.5&channel=3&donor=context-3&reveal=0&edits=move+3+45+60,turn+warm+17,share+60";
const PIECES = [
  "&", "=", ",", "+", "%", "%20", "%u", "%E0%A4%A", "#", "\0", "\ud800", "é", "-", "1e9", "NaN", "Infinity", "-0", "0x1", " ", "2.0001",
  "scene", "gates=", "edits=", "donor=own", "lender=own", "channel=-1", "__proto__", "constructor", "toString+1", "add+ruby+1+2", "<b>",
  "9".repeat(400), "a,".repeat(2000), "share+".repeat(300),
];

/** Numbers from 0 to 1 that depend on the seed alone [Mulberry32]. */
function chances(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A good address with characters lost, doubled and put in. */
function made(seed) {
  const chance = chances(seed);
  const upTo = (count) => Math.floor(chance() * count);
  let text = chance() < 0.9 ? WHOLE : "#play&";
  for (let times = 1 + upTo(6); times; times--) {
    const [at, length] = [6 + upTo(text.length - 5), upTo(12)];
    const kind = upTo(3);
    const put = kind === 0 ? PIECES[upTo(PIECES.length)] : kind === 1 ? text.slice(upTo(text.length), at) : "";
    text = text.slice(0, at) + put + text.slice(at + length);
  }
  return chance() < 0.02 ? text.slice(1) : text;
}

/** Say what is wrong with a state, or nothing. */
function wrong(state) {
  if (state.scene !== "" && !SCENES.includes(state.scene)) return `scene ${state.scene}`;
  if (state.donor !== "" && !SCENES.includes(state.donor)) return `donor ${state.donor}`;
  if (state.gates.length !== 4 || !state.gates.every((gate) => gate >= 0 && gate <= 2)) return `gates ${state.gates}`;
  if (!Number.isInteger(state.channel) || state.channel < -1) return `channel ${state.channel}`;
  if (!Number.isInteger(state.reveal) || state.reveal < -1) return `reveal ${state.reveal}`;
  if (!state.edits.every(readEdit)) return `edits ${state.edits}`;
  const again = fromFragment(toFragment(state), { ...START }, (scene) => SCENES.includes(scene));
  if (state.scene && JSON.stringify(again) !== JSON.stringify(state)) return `${JSON.stringify(state)} comes back as ${JSON.stringify(again)}`;
  return "";
}

const inputs = Number(process.argv[2]);
const faults = [];
let [used, slowest] = [0, 0];
const begin = process.cpuUsage();
for (let number = 0; number < inputs; number++) {
  const start = performance.now();
  const text = made(number);
  try {
    const state = fromFragment(text, START, (scene) => SCENES.includes(scene));
    const fault = wrong(state);
    if (fault) faults.push([number, `${JSON.stringify(text.slice(0, 300))}: ${fault}`]);
    used += JSON.stringify(state) === JSON.stringify(START) ? 0 : 1;
  } catch (error) {
    faults.push([number, `${JSON.stringify(text.slice(0, 300))}: ${error}`]);
  }
  slowest = Math.max(slowest, performance.now() - start);
}
const { user, system } = process.cpuUsage(begin);
const row = { kind: "addresses", inputs, used, refused: inputs - used, seconds: Math.round((user + system) / 1e5) / 10 };
process.stdout.write(JSON.stringify({ row: { ...row, slowest_ms: Math.round(slowest), megabytes: 0, faults: faults.length }, faults }));

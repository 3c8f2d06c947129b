// The page: sources, the network's answers, and what is drawn and saved of them.
import { Cloud } from "./cloud.js";
import { colourise, depthScale, smallerSize } from "./depth.js";
import { coloursFile, depthFile, KITTI_FOCAL, pointsFile, save, shownPoints } from "./files.js";
import { Network, startService } from "./network.js";
import { cameraUnavailable, closeVideo, Frames, openCamera, openImage, openVideo, Refused } from "./sources.js";

const MAPS = ["magma", "viridis", "inferno", "plasma", "cividis", "turbo", "jet", "gray"];
const SIZES = { "as trained": 1, "three quarters": 0.75, half: 0.5 };
const SLOW_CAMERA = "half"; // without WebGPU
const MOMENTUM = 0.9; // of the colours' range, so that a video's colours do not flicker
const SHOWN_WIDTH = 1280;

const $ = (id) => document.getElementById(id);

/** What the page knows. */
export const state = {
  description: null, tables: null, network: null, provider: null, frames: null, answer: null, range: null, name: "image", live: false,
  ownFocal: null, sourceFocal: null, chosenSize: null, shown: 0, rate: null, waiting: null, points: 0,
};
let cloud = null;
let turn = 0; // of the sources: what belongs to an earlier one is ignored

function say(text, refused = false) {
  $("status").textContent = text;
  $("status").classList.toggle("refused", refused);
}

/** Run what a visitor asked for; an error becomes a sentence. */
const guarded = (action) => async (event) => {
  try {
    await action(event);
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    say(error.message, true);
  }
};

const focal = () => state.sourceFocal ?? state.ownFocal;
const scale = () => depthScale(state.description.scale, focal());
const table = () => state.tables.subarray(768 * $("map").selectedIndex, 768 * ($("map").selectedIndex + 1));

function networkSize() {
  const slow = state.live && state.provider.provider !== "WebGPU";
  const name = state.chosenSize ?? (slow ? SLOW_CAMERA : "as trained");
  $("size").value = name;
  return smallerSize(state.description.size, SIZES[name], state.description.stride);
}

// Sources

/** End what is shown, and return a function that tells whether another source has been chosen since. */
function begin(name, sourceFocal = null) {
  state.frames?.close();
  closeVideo($("video"));
  Object.assign(state, { frames: null, live: false, range: null, name, sourceFocal });
  $("stop").hidden = true;
  const mine = ++turn;
  return () => mine === turn;
}

async function showImage(file, name, sourceFocal) {
  const current = begin(name.replace(/\.\w+$/, ""), sourceFocal);
  const bitmap = await openImage(file, name);
  say(`Predicting for ${name} …`);
  const answer = await state.network.predict(bitmap, networkSize());
  if (!current()) return answer.bitmap.close();
  show(answer);
  return say(`${name}, ${answer.bitmap.width} x ${answer.bitmap.height}`);
}

async function showVideo(name, open) {
  const current = begin(name);
  say(`Opening ${name} …`);
  try {
    await open($("video"), current);
  } catch (error) {
    if (current()) throw error; // what was given up is no news
  }
  if (!current()) return;
  const frames = new Frames($("video"));
  Object.assign(state, { frames, live: true, shown: 0 });
  $("stop").hidden = false;
  say(`${name}, ${$("video").videoWidth} x ${$("video").videoHeight}`);
  await follow(frames, current);
}

/** Predict for the newest frame, again and again; while one is computed, the one before is drawn. */
async function follow(frames, current) {
  let bitmap = await frames.next();
  let last = performance.now();
  let smooth = null;
  while (bitmap) {
    const pending = state.network.predict(bitmap, networkSize());
    if (state.waiting) draw(state.waiting);
    state.waiting = null;
    const answer = await pending;
    if (!current()) return void answer.bitmap.close();
    state.waiting = answer;
    const now = performance.now();
    const seconds = { whole: (now - last) / 1000, network: answer.seconds.network };
    last = now;
    smooth = smooth ? { whole: mix(smooth.whole, seconds.whole), network: mix(smooth.network, seconds.network) } : seconds;
    state.rate = { whole: 1 / smooth.whole, network: 1 / smooth.network };
    bitmap = await frames.next();
  }
  if (state.waiting && current()) draw(state.waiting);
  state.waiting = null;
}

const mix = (before, now) => MOMENTUM * before + (1 - MOMENTUM) * now;

// What is drawn

function show(answer) {
  state.rate = null;
  draw(answer);
}

function draw(answer) {
  state.answer?.bitmap.close();
  state.answer = answer;
  if (answer.engine.provider !== state.provider.provider) say(answer.engine.note);
  state.provider = answer.engine;
  state.shown += 1;
  const before = state.live ? state.range : null;
  state.range = before ? answer.range.map((value, end) => mix(before[end], value)) : answer.range;
  const { bitmap } = answer;
  const width = Math.min(bitmap.width, SHOWN_WIDTH);
  const height = Math.max(1, Math.round((bitmap.height * width) / bitmap.width));
  const picture = $("picture");
  if (picture.width !== width || picture.height !== height) Object.assign(picture, { width, height });
  picture.getContext("2d").drawImage(bitmap, 0, 0, width, height);
  $("disparity").style.aspectRatio = `${width} / ${height}`;
  $("views").hidden = false;
  for (const button of document.querySelectorAll(".save")) button.disabled = false;
  showFocal();
  redraw();
}

/** Draw disparity, bar and points again, after a new answer or another setting. */
function redraw() {
  if (!state.answer) return;
  const { disparity, size: [height, width], seconds } = state.answer;
  const canvas = $("disparity");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(colourise(disparity, state.range, table()), width), 0, 0);
  const bar = Float32Array.from({ length: 256 }, (_, at) => at / 255);
  $("colours").getContext("2d").putImageData(new ImageData(colourise(bar, [0, 1], table()), 256), 0, 0);
  const { depth, unit, metric } = scale();
  const [low, high] = state.range;
  [low, (low + high) / 2, high].forEach((value, at) => {
    $("ticks").children[at].textContent = `${Number(depth(value).toPrecision(3))} ${unit}`.trim();
  });
  $("unit").textContent = metric ? "Depth in metres." : unitSentence();
  const rate = state.rate
    ? `${state.rate.whole.toFixed(1)} frames a second, the network alone ${state.rate.network.toFixed(1)}`
    : `network ${Math.round(1000 * seconds.network)} ms, before it ${Math.round(1000 * seconds.prepare)} ms`;
  $("rate").textContent = `${rate}; ${width} x ${height}, ${state.provider.provider}. ${state.provider.note}`;
  if ($("points").open) showPoints();
}

function unitSentence() {
  return state.description.scale.metres_per_unit === null
    ? "Depth in the network's units: right up to one factor, metres are not known."
    : "Depth in the network's units. For metres enter the camera's field of view or focal length.";
}

/** Show focal length and field of view for the present image, unless they are being typed. */
function showFocal() {
  const width = state.answer?.bitmap.width ?? null;
  const value = focal();
  const shown = {
    angle: value === null ? "" : ((360 / Math.PI) * Math.atan(0.5 / value)).toFixed(1),
    focal: value === null || width === null ? "" : (value * width).toFixed(1),
  };
  for (const [id, text] of Object.entries(shown)) if (document.activeElement !== $(id)) $(id).value = text;
}

function enterFocal(event) {
  const given = Number(event.target.value);
  const width = state.answer?.bitmap.width;
  const found = event.target.id === "angle" ? 0.5 / Math.tan((given * Math.PI) / 360) : given / width;
  Object.assign(state, { ownFocal: given > 0 && found > 0 && Number.isFinite(found) ? found : null, sourceFocal: null });
  showFocal();
  redraw();
}

function showPoints() {
  try {
    cloud ??= new Cloud($("cloud"));
    const fx = focal() ?? KITTI_FOCAL;
    const shown = shownPoints(state.answer, scale(), fx);
    cloud.set(shown, fx);
    state.points = shown.points.length / 3;
    const camera = focal() === null ? "; proportions as of KITTI's camera, until you enter yours" : "";
    $("points-note").textContent = `${state.points.toLocaleString("en")} points${camera}`;
  } catch (error) {
    $("points-note").textContent = error.message;
    $("cloud").hidden = true;
  }
}

// Start

async function connect() {
  const chosen = (input) => input.files[0];
  $("camera").onclick = guarded(() => showVideo("camera", (video, current) => openCamera(video, $("facing").value, current)));
  $("facing").onchange = guarded(async () => {
    if (state.live && state.name === "camera") await $("camera").onclick();
  });
  const file = (id, action) => {
    $(id).onchange = guarded(async (event) => {
      const found = chosen(event.target);
      if (found) await action(found).finally(() => (event.target.value = ""));
    });
  };
  file("image-file", (found) => showImage(found, found.name));
  file("video-file", (found) => showVideo(found.name, (video) => openVideo(video, found)));
  $("stop").onclick = () => {
    begin(state.name, state.sourceFocal);
    say("Stopped; the last frame can be saved.");
  };
  for (const [number, { file: path, focal: known }] of state.description.examples.entries()) {
    const button = document.createElement("button");
    const image = Object.assign(new Image(), { src: path, alt: `example street ${number + 1}` });
    button.append(image);
    button.onclick = guarded(async () => showImage(await (await fetch(path)).blob(), path.split("/").pop(), known));
    $("examples").append(button);
  }
  for (const radio of document.getElementsByName("view")) radio.onchange = () => showView(radio.value);
  $("opacity").oninput = () => showView($("views").dataset.view);
  MAPS.forEach((name) => $("map").add(new Option(name)));
  $("map").onchange = redraw;
  Object.keys(SIZES).forEach((name) => {
    const [height, width] = smallerSize(state.description.size, SIZES[name], state.description.stride);
    $("size").add(new Option(`${name}: ${width} x ${height}`, name));
  });
  $("size").disabled = state.description.fixed;
  $("size").onchange = guarded(again);
  for (const id of ["angle", "focal"]) $(id).oninput = enterFocal;
  const saving = (ending, make) => guarded(async () => save(await make(state.answer), state.name + ending));
  $("save-colours").onclick = saving("_disparity.png", (answer) => coloursFile(answer, state.range, table()));
  $("save-depth").onclick = saving("_depth.png", (answer) => depthFile(answer, scale()));
  $("save-points").onclick = saving(".ply", (answer) => pointsFile(answer, scale(), focal()));
  $("points").ontoggle = () => redraw();
}

/** Predict for the same image at the size that was just chosen. */
async function again() {
  state.chosenSize = $("size").value;
  if (state.live || !state.answer) return;
  const mine = turn;
  const answer = await state.network.predict(await createImageBitmap(state.answer.bitmap), networkSize());
  if (mine === turn) show(answer);
  else answer.bitmap.close();
}

function showView(view) {
  $("views").dataset.view = view;
  $("opacity-label").hidden = view !== "over";
  $("disparity").style.opacity = view === "over" ? $("opacity").value / 100 : 1;
}

async function start() {
  const asked = new URLSearchParams(window.location.search);
  await startService();
  state.description = await (await fetch("page.json")).json();
  state.tables = new Uint8Array(await (await fetch("colours.bin")).arrayBuffer());
  const { name, licence, terms, version, scale: units } = state.description;
  $("about").textContent =
    `Network ${name}, licence ${licence ?? "not stated"}${terms ? ` (${terms})` : ""}. ` +
    `${units.metres_per_unit === null ? "Its depth is right up to one factor." : "Its depth has metres once the camera is known."} ` +
    `Made by hrdepth ${version}; ONNX Runtime Web is Microsoft's, under the MIT licence.`;
  state.network = new Network((what, share) => {
    say(`Loading ${what}: ${Math.round(100 * share)} % …`);
    $("progress").value = share;
  });
  const threads = Number(asked.get("threads")) || undefined;
  state.provider = await state.network.load(state.description, { provider: asked.get("provider") ?? "auto", threads });
  $("progress").hidden = true;
  await connect();
  const refused = cameraUnavailable();
  $("camera").disabled = refused !== null;
  $("camera-note").hidden = refused === null;
  $("camera-note").textContent = refused ?? "";
  const count = state.provider.threads;
  say(`Ready: ${state.provider.provider}, ${count} thread${count > 1 ? "s" : ""}. ${state.provider.note}`);
  document.body.dataset.ready = "true";
}

guarded(start)();

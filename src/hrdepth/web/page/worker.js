// The network, in a worker: images in, disparity out, so that the page itself never waits.
import { aspectSize, disparityRange, networkInput } from "./depth.js";

const MOST_THREADS = 4; // a phone's other cores are slower, and all wait for the slowest

let session = null;
let engine = null; // provider, threads and a note, as the page shows them
let graph = null; // the network's file, until WebAssembly has read it
let mostThreads = 1;
let ort = null;
let page = null;
let canvas = null;

let last = Promise.resolve();
self.onmessage = ({ data }) => {
  last = last.then(() => answer(data)); // one after the other
};

async function answer({ kind, id, ...given }) {
  try {
    const [result, transfer] = await { load, predict }[kind](given);
    self.postMessage({ id, result }, transfer);
  } catch (error) {
    self.postMessage({ id, error: error.message ?? String(error) }, given.bitmap ? [given.bitmap] : []);
  }
}

/** Fetch a file, report how much of it has come, and inflate it unless the server already did. */
async function fetchFile(path, bytes, report) {
  const response = await fetch(path).catch(() => null);
  if (!response?.ok) throw new Error(`The file ${path} cannot be loaded. Are you off line? Load the page again.`);
  let come = 0;
  const counter = new TransformStream({
    transform(part, controller) {
      come += part.length;
      report(Math.min(come / bytes, 1));
      controller.enqueue(part);
    },
  });
  const content = new Uint8Array(await new Response(response.body.pipeThrough(counter)).arrayBuffer());
  if (content[0] !== 0x1f || content[1] !== 0x8b) return content;
  const inflated = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(inflated).arrayBuffer());
}

async function hasWebGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !adapter.info?.isFallbackAdapter;
  } catch {
    return false;
  }
}

async function load({ description, provider, threads }) {
  page = description;
  const most = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  mostThreads = Math.min(threads ?? most, most);
  graph = fetchFile("network.onnx.gz", page.bytes["network.onnx.gz"], report("the network")).catch((error) => {
    throw /cannot be loaded/.test(error.message) ? error : new Error(`The network's file is damaged (${error.message}).`);
  });
  graph.catch(() => {}); // reported below
  if (provider === "webgpu" || (provider === "auto" && (await hasWebGpu()))) {
    try {
      await start("webgpu", "ort.webgpu", "ort-wasm-simd-threaded.asyncify", 1);
      engine = { provider: "WebGPU", threads: 1, note: "" };
    } catch (error) {
      await startWebAssembly(withoutWebGpu(error));
    }
  } else {
    await startWebAssembly("");
  }
  return [engine, []];
}

const withoutWebGpu = (error) => `WebGPU does not work here (${error.message}).`;

async function startWebAssembly(note) {
  await start("wasm", "ort.wasm", "ort-wasm-simd-threaded", mostThreads);
  graph = null;
  engine = { provider: "WebAssembly", threads: mostThreads, note };
}

const report = (what) => (share) => self.postMessage({ progress: share, what });

async function start(provider, library, binary, threads) {
  const wasm = `runtime/${binary}.wasm.gz`;
  const content = await graph;
  const [module, wasmBinary] = await Promise.all([
    import(`./runtime/${library}.js`),
    fetchFile(wasm, page.bytes[wasm], report("ONNX Runtime")),
  ]);
  ort = module;
  const address = new URL(`runtime/${binary}.js`, self.location.href).href;
  Object.assign(ort.env.wasm, { wasmPaths: { mjs: address }, wasmBinary, numThreads: threads });
  ort.env.logLevel = "error";
  try {
    session = await ort.InferenceSession.create(content, { executionProviders: [provider], logSeverityLevel: 3 });
  } catch (error) {
    throw provider === "wasm" ? new Error(`The network's file cannot be used (${error.message}).`) : error;
  }
  // The first run compiles shaders and shows what a graphics driver cannot do.
  if (provider === "webgpu") await run(new Float32Array(3 * page.size[0] * page.size[1]), page.size);
}

/** From (3,h,w) in [0,1] to disparity (h,w). */
async function run(input, [height, width]) {
  const image = new ort.Tensor("float32", input, [1, 3, height, width]);
  const answer = await session.run({ [session.inputNames[0]]: image });
  const output = answer[session.outputNames[0]];
  const disparity = new Float32Array(await output.getData());
  output.dispose();
  if (!disparity.every(Number.isFinite)) throw new Error("The network's output is not finite: its weights are damaged.");
  return disparity;
}

/** Predict for an image, which goes back with the answer; `size` is that of training, or a smaller one. */
async function predict({ bitmap, size }) {
  const started = performance.now();
  const shape = [bitmap.height, bitmap.width];
  const [height, width] = page.fixed ? page.size : aspectSize(shape, size, page.stride);
  const input = networkInput(pixelsOf(bitmap), shape, [height, width]);
  const ready = performance.now();
  let disparity;
  try {
    disparity = await run(input, [height, width]);
  } catch (error) {
    if (engine.provider !== "WebGPU") throw error;
    await startWebAssembly(withoutWebGpu(error)); // the graphics device was lost, as after sleep or a driver's crash
    disparity = await run(input, [height, width]);
  }
  const seconds = { prepare: (ready - started) / 1000, network: (performance.now() - ready) / 1000 };
  const result = { bitmap, disparity, size: [height, width], range: disparityRange(disparity), seconds, engine };
  return [result, [bitmap, disparity.buffer]];
}

/** RGBA of an image; transparent parts become white. */
function pixelsOf(bitmap) {
  if (canvas?.width !== bitmap.width || canvas?.height !== bitmap.height) {
    canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  }
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  if (!context) throw new Error("The image is too large for this browser.");
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

// What is made of a prediction: points to show, and files: coloured PNG, 16-bit PNG, PLY. An `answer` is the worker's.
import { colourise, enlarge, lift } from "./depth.js";

export const KITTI_FOCAL = 0.58; // in image widths, as in hrdepth/io/pointcloud.py
const SHOWN = { far: 4, most: 150_000 }; // medians of depth, as on the page of `hrdepth app`, and points
const SAVED = { far: 20, most: 2_000_000 };
const DEPTH_UNITS = 256; // of the 16 bits a metre or network unit, as KITTI has it

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function chunk(kind, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(content, 8);
  let crc = ~0;
  for (let at = 4; at < content.length + 8; at++) crc = CRC[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  view.setUint32(content.length + 8, ~crc);
  return bytes;
}

/** Depth as a 16-bit PNG: value / 256 = depth, 0 = none; `about` becomes its comment. */
export async function depthPng(depth, [height, width], about) {
  const rows = new DataView(new ArrayBuffer(height * (1 + 2 * width))); // each row begins with its filter, 0
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = depth[y * width + x];
      const stored = value > 0 ? Math.min(65535, Math.max(1, Math.round(value * DEPTH_UNITS))) : 0;
      rows.setUint16(y * (1 + 2 * width) + 1 + 2 * x, stored);
    }
  const packed = new Blob([rows.buffer]).stream().pipeThrough(new CompressionStream("deflate"));
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 16); // bits, of grey: the other fields are 0
  const comment = new TextEncoder().encode(`Comment\0${about}`);
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const chunks = [chunk("IHDR", new Uint8Array(header.buffer)), chunk("tEXt", comment), chunk("IDAT", data)];
  return new Blob([signature, ...chunks, chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

/** Points and colours as binary PLY. */
export function ply({ points, colours }, about) {
  const count = points.length / 3;
  const fields = ["float x", "float y", "float z", "uchar red", "uchar green", "uchar blue"];
  const header = [
    "ply",
    "format binary_little_endian 1.0",
    ...Object.entries(about).map(([key, value]) => `comment ${key}: ${value}`),
    `element vertex ${count}`,
    ...fields.map((field) => `property ${field}`),
    "end_header\n",
  ].join("\n");
  const body = new DataView(new ArrayBuffer(15 * count));
  for (let point = 0; point < count; point++)
    for (let axis = 0; axis < 3; axis++) {
      body.setFloat32(15 * point + 4 * axis, points[3 * point + axis], true);
      body.setUint8(15 * point + 12 + axis, colours[3 * point + axis]);
    }
  return new Blob([header, body.buffer], { type: "application/octet-stream" });
}

const shapeOf = ({ bitmap }) => [bitmap.height, bitmap.width];
const unitName = (scale) => (scale.metric ? "metres" : "network units");

/** Disparity at the image's own size. */
export function fullDisparity(answer) {
  return enlarge(answer.disparity, answer.size, shapeOf(answer));
}

/** The image at a size, as RGBA. */
function pixels(bitmap, [height, width]) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** The points to show, at the network's size, how far the middle one lies, and the image's aspect; `focal` in widths. */
export function shownPoints({ disparity, size, bitmap }, scale, focal) {
  const depth = disparity.map(scale.depth);
  const ratio = bitmap.width / bitmap.height;
  const aspect = ratio * (size[0] / size[1]); // the network's pixels need not be square
  const found = lift(depth, pixels(bitmap, size), size, focal, SHOWN.far, { most: SHOWN.most, aspect });
  return { ...found, ratio, width: size[1] };
}

export function coloursFile(answer, range, table) {
  const [height, width] = shapeOf(answer);
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(colourise(fullDisparity(answer), range, table), width);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

export function depthFile(answer, scale) {
  return depthPng(fullDisparity(answer).map(scale.depth), shapeOf(answer), `depth x 256 in ${unitName(scale)}`);
}

/** `focal` in widths, or null: then KITTI's is assumed. */
export function pointsFile(answer, scale, focal) {
  const shape = shapeOf(answer);
  const fx = focal ?? KITTI_FOCAL;
  const depth = fullDisparity(answer).map(scale.depth);
  const found = lift(depth, pixels(answer.bitmap, shape), shape, fx, SAVED.far, { most: SAVED.most });
  const camera = `${focal === null ? "assumed" : "as given"}: fx = ${Number((fx * shape[1]).toFixed(3))} pixels`;
  return ply(found, { unit: unitName(scale), camera });
}

/** Let the browser save a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

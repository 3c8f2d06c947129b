// From an image to the network's input, and from its disparity to colours, depth and points: what hrdepth does in Python.
// Pure functions. Images are RGBA bytes as a canvas gives them; sizes are [height, width].

const SAME_ASPECT = 0.1; // as in hrdepth/camera.py
const MOST_PIXELS = 2;
const PRECISION = 22; // bits of Pillow's fixed-point weights
const FLAT_DEGREES = 2.5; // as in hrdepth/io/pointcloud.py
const NO_VALUE = [64, 64, 64];

function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest === 0.5 ? below + (below % 2) : Math.round(value);
}

/** The size of the network's input for an image; `camera.aspect_size` in Python. */
export function aspectSize([height, width], trained, stride) {
  const aspect = width / height;
  if (Math.abs(Math.log((aspect * trained[0]) / trained[1])) < SAME_ASPECT) return [...trained];
  const least = trained[0] * trained[1];
  const pixels = Math.min(Math.max(trained[1] ** 2 / aspect, least), MOST_PIXELS * least);
  return [1 / aspect, aspect].map((ratio) => Math.max(2, roundHalfEven(Math.sqrt(pixels * ratio) / stride)) * stride);
}

/** The trained size times `factor`, as multiples of the stride. */
export function smallerSize(trained, factor, stride) {
  return trained.map((side) => Math.max(2, Math.round((side * factor) / stride)) * stride);
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const lanczos = (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0);
const triangle = (x) => Math.max(0, 1 - Math.abs(x));

/** Where each output pixel reads and with which weights. Source: Pillow, Resample.c, precompute_coeffs. */
function weights(before, after, filter, support) {
  const scale = before / after;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const most = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(after);
  const count = new Int32Array(after);
  const values = new Float64Array(after * most);
  for (let out = 0; out < after; out++) {
    const centre = (out + 0.5) * scale;
    first[out] = Math.max(0, Math.trunc(centre - reach + 0.5));
    count[out] = Math.min(before, Math.trunc(centre + reach + 0.5)) - first[out];
    let sum = 0;
    for (let k = 0; k < count[out]; k++) {
      const value = filter((k + first[out] - centre + 0.5) * (1 / stretch));
      values[out * most + k] = value;
      sum += value;
    }
    for (let k = 0; k < count[out] && sum !== 0; k++) values[out * most + k] /= sum;
  }
  return { first, count, values, most };
}

const fixed = (values) => Int32Array.from(values, (value) => Math.trunc(value * (1 << PRECISION) + (value < 0 ? -0.5 : 0.5)));
const clip = (sum) => Math.min(255, Math.max(0, sum >> PRECISION));

/** Resize an image as Pillow's LANCZOS does, bit by bit; return what the network takes: (3,h,w) in [0,1]. */
export function networkInput(rgba, [height, width], [outHeight, outWidth]) {
  const rows = outWidth === width ? { pixels: rgba, step: 4 } : resizeRows(rgba, height, width, outWidth);
  const plane = outHeight * outWidth;
  const input = new Float32Array(3 * plane);
  const level = Float32Array.from({ length: 256 }, (_, value) => value / 255);
  const { pixels, step } = rows;
  if (outHeight === height) {
    for (let at = 0; at < plane; at++)
      for (let channel = 0; channel < 3; channel++) input[channel * plane + at] = level[pixels[at * step + channel]];
    return input;
  }
  const { first, count, values, most } = weights(height, outHeight, lanczos, 3);
  const kernel = fixed(values);
  const line = outWidth * step;
  const sums = new Int32Array(line);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(1 << (PRECISION - 1));
    for (let k = 0; k < count[y]; k++) {
      const weight = kernel[y * most + k];
      const start = (first[y] + k) * line;
      for (let at = 0; at < line; at++) sums[at] += pixels[start + at] * weight;
    }
    for (let x = 0; x < outWidth; x++)
      for (let channel = 0; channel < 3; channel++)
        input[channel * plane + y * outWidth + x] = level[clip(sums[x * step + channel])];
  }
  return input;
}

function resizeRows(rgba, height, width, outWidth) {
  const { first, count, values, most } = weights(width, outWidth, lanczos, 3);
  const kernel = fixed(values);
  const pixels = new Uint8Array(3 * height * outWidth);
  const half = 1 << (PRECISION - 1);
  let out = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let red = half;
      let green = half;
      let blue = half;
      let at = 4 * (y * width + first[x]);
      const end = x * most + count[x];
      for (let k = x * most; k < end; k++, at += 4) {
        const weight = kernel[k];
        red += rgba[at] * weight;
        green += rgba[at + 1] * weight;
        blue += rgba[at + 2] * weight;
      }
      pixels[out++] = clip(red);
      pixels[out++] = clip(green);
      pixels[out++] = clip(blue);
    }
  }
  return { pixels, step: 3 };
}

/** Resize a map bilinearly, as Pillow does. */
export function enlarge(map, [height, width], [outHeight, outWidth]) {
  const across = weights(width, outWidth, triangle, 1);
  const rows = outWidth === width ? map : new Float32Array(height * outWidth);
  for (let y = 0; y < height && outWidth !== width; y++)
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < across.count[x]; k++)
        sum += map[y * width + across.first[x] + k] * across.values[x * across.most + k];
      rows[y * outWidth + x] = sum;
    }
  if (outHeight === height) return rows;
  const down = weights(height, outHeight, triangle, 1);
  const result = new Float32Array(outHeight * outWidth);
  for (let y = 0; y < outHeight; y++)
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < down.count[y]; k++)
        sum += rows[(down.first[y] + k) * outWidth + x] * down.values[y * down.most + k];
      result[y * outWidth + x] = sum;
    }
  return result;
}

/** The value below which a share of the values lies, interpolated as NumPy does. */
export function percentile(ordered, share) {
  const position = (ordered.length - 1) * share;
  const below = Math.trunc(position);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (ordered[above] - ordered[below]) * (position - below);
}

/** The range worth colouring: from the minimum to the 95th percentile. */
export function disparityRange(disparity) {
  const ordered = Float32Array.from(disparity).sort();
  return [ordered[0], percentile(ordered, 0.95)];
}

/** Disparity in colours, RGBA; `table` holds 256 colours, 3 bytes each. */
export function colourise(disparity, [low, high], table) {
  const pixels = new Uint8ClampedArray(4 * disparity.length);
  const span = high - low;
  const constant = span <= 1e-6 * Math.max(Math.abs(low), Math.abs(high));
  for (let at = 0; at < disparity.length; at++) {
    const level = constant ? 0.5 : Math.min(1, Math.max(0, (disparity[at] - low) / span));
    const entry = 3 * Math.round(level * 255);
    const known = Number.isFinite(level);
    for (let channel = 0; channel < 3; channel++)
      pixels[4 * at + channel] = known ? table[entry + channel] : NO_VALUE[channel];
    pixels[4 * at + 3] = 255;
  }
  return pixels;
}

/** What turns disparity into depth: metres where the weights have them and the focal length (in image widths) is known. */
export function depthScale(scale, focal) {
  const low = 1 / scale.max_depth;
  const high = 1 / scale.min_depth;
  const metric = scale.metres_per_unit !== null && focal !== null;
  const camera = scale.canonical_focal === null || focal === null ? 1 : focal / scale.canonical_focal;
  const factor = camera * (metric ? scale.metres_per_unit : 1);
  const shift = scale.shift ?? 0; // of 1/depth; nothing is farther than max_depth
  const depth = (disparity) => factor / Math.max(low, low + (high - low) * disparity + shift);
  return { metric, unit: metric ? "m" : "", depth };
}

/**
 * Lift pixels to coloured points (x right, y down, z forward), without those across depth edges or far away.
 * `focal` is fx in widths, `aspect` fy / fx, `most` about how many pixels are looked at. `middle` is the median depth.
 */
export function lift(depth, rgba, [height, width], focal, farMedians, { most = Infinity, aspect = 1 } = {}) {
  const fx = focal * width;
  const fy = fx * aspect;
  const steepest = 1 / Math.tan((FLAT_DEGREES * Math.PI) / 180);
  const logarithm = depth.map(Math.log);
  const middle = percentile(Float32Array.from(depth).sort(), 0.5);
  const far = farMedians * middle;
  const keep = new Uint8Array(depth.length).fill(1);
  const step = Math.max(1, Math.ceil(Math.sqrt(depth.length / most)));
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      if (!(depth[at] <= far) || y % step || x % step) keep[at] = 0;
      // Both sides of a step may have been mixed.
      if (x + 1 < width && fx * Math.abs(logarithm[at + 1] - logarithm[at]) > steepest) keep[at] = keep[at + 1] = 0;
      if (y + 1 < height && fy * Math.abs(logarithm[at + width] - logarithm[at]) > steepest) keep[at] = keep[at + width] = 0;
    }
  const count = keep.reduce((sum, one) => sum + one, 0);
  const points = new Float32Array(3 * count);
  const colours = new Uint8Array(3 * count);
  for (let y = 0, at = 0, out = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      if (!keep[at]) continue;
      points[out] = ((x - (width - 1) / 2) / fx) * depth[at];
      points[out + 1] = ((y - (height - 1) / 2) / fy) * depth[at];
      points[out + 2] = depth[at];
      for (let channel = 0; channel < 3; channel++) colours[out + channel] = rgba[4 * at + channel];
      out += 3;
    }
  return { points, colours, middle };
}

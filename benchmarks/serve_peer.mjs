// A peer of `serve`: the usual Node server around ONNX Runtime and sharp. One image a POST (the body is the file), decoded,
// resized and run as it comes; the answer is the vector's first number.
// usage: node serve_peer.mjs MODEL.onnx PORT     needs sharp and onnxruntime-node in a node_modules beside it or above
import http from 'node:http';
import ort from 'onnxruntime-node';
import sharp from 'sharp';

const [model, port] = process.argv.slice(2);
const side = 224;
const mean = [0.48145466, 0.4578275, 0.40821073];
const deviation = [0.26862954, 0.26130258, 0.27577711];
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 2, graphOptimizationLevel: 'all' });
sharp.cache(false);

async function pixelsOf(file) {
  const raw = await sharp(file).removeAlpha().toColourspace('srgb')
    .resize(side, side, { fit: 'cover', kernel: 'cubic' }).raw().toBuffer();
  const pixels = new Float32Array(3 * side * side);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < side * side; i++) {
      pixels[channel * side * side + i] = (raw[3 * i + channel] / 255 - mean[channel]) / deviation[channel];
    }
  }
  return pixels;
}

http.createServer((request, response) => {
  const pieces = [];
  request.on('data', piece => pieces.push(piece));
  request.on('end', async () => {
    try {
      const input = new ort.Tensor('float32', await pixelsOf(Buffer.concat(pieces)), [1, 3, side, side]);
      const output = Object.values(await session.run({ pixel_values: input }))[0];
      response.end(JSON.stringify({ score: output.data[0] }));
    } catch (error) {
      response.statusCode = 500;
      response.end(String(error));
    }
  });
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));

// Runs one ONNX file in ONNX Runtime: node run_onnx.mjs MODULES REQUEST.json
// REQUEST: {model, out, inputs: {name: {type: "float32" | "int64", dims, file}}}. Each output goes to OUT/NAME.f32; what
// they are called, and their dims, are printed as JSON.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, requestFile] = process.argv.slice(2);
const ort = createRequire(join(modules, 'index.js'))('onnxruntime-node');
const request = JSON.parse(readFileSync(requestFile, 'utf8'));
const feeds = {};
for (const [name, { type, dims, file }] of Object.entries(request.inputs)) {
  const bytes = new Uint8Array(readFileSync(file)).buffer;
  feeds[name] = new ort.Tensor(type, type === 'int64' ? new BigInt64Array(bytes) : new Float32Array(bytes), dims);
}
const session = await ort.InferenceSession.create(request.model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const results = await session.run(feeds);
const dims = {};
for (const [name, tensor] of Object.entries(results)) {
  dims[name] = tensor.dims;
  writeFileSync(join(request.out, `${name}.f32`), new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
}
console.log(JSON.stringify(dims));

// An HTTP/2 server over TLS on 127.0.0.1: prints its port, answers every path with the file given, counts connections at
// /connections (in the answer's ETag), ends at /quit. usage: node http2_server.mjs KEY CERTIFICATE FILE
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';

const [key, cert, file] = process.argv.slice(2).map((path) => readFileSync(path));
let connections = 0;
const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
  response.setHeader('etag', `"HTTP/${request.httpVersion} over ${connections}"`);
  response.end(file, () => {
    if (request.url === '/quit') process.exit(0);
  });
});
server.on('secureConnection', () => ++connections);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
setTimeout(() => process.exit(1), 60000); // nobody said /quit

// A client of the guard on zeromq.js. Usage: node client.mjs ENDPOINT. Prints "ok".
import assert from "node:assert/strict";
import * as zmq from "zeromq";

const endpoint = process.argv[2];
const PING_JSON = Buffer.from('{"type":"ping"}');
const PING_MSGPACK = Buffer.from("\x81\xa4type\xa4ping", "latin1");
const OPTIONS = {
  linger: 0,
  receiveTimeout: 20000,
  heartbeatInterval: 20,
  heartbeatTimeout: 5000,
  heartbeatTimeToLive: 5000,
};

function opened(kind, more = {}) {
  const socket = new kind({ ...OPTIONS, ...more });
  socket.connect(endpoint);
  return socket;
}

async function converse(socket, before) {
  for (let number = 0; number < 100; number++) {
    await socket.send([...before, number % 2 ? PING_JSON : PING_MSGPACK]);
    const frames = await socket.receive();
    assert.equal(frames.length, before.length + 1);
    assert.ok(frames.at(-1).includes("pong"));
  }
}

let dealer = opened(zmq.Dealer);
await converse(dealer, []);
await converse(dealer, [""]);

const many = Buffer.from(JSON.stringify(Array(256).fill({ type: "ping" })));
for (let number = 0; number < 50; number++) await dealer.send(many);
for (let number = 0; number < 50; number++) {
  const [body] = await dealer.receive();
  assert.equal(JSON.parse(body.toString()).length, 256);
}

await dealer.send(Buffer.alloc(4 * 1024 * 1024, "{"));
assert.equal(JSON.parse((await dealer.receive())[0].toString()).code, "message_too_large");
await dealer.send(["a", "b", "c"]);
assert.ok((await dealer.receive())[0].includes("bad_framing"));

for (let number = 0; number < 10; number++) {
  dealer.close();
  dealer = opened(zmq.Dealer, { routingId: "same" });
  await converse(dealer, []);
}
dealer.close();

for (const more of [{}, { correlate: true, relaxed: true }]) {
  const req = opened(zmq.Request, more);
  await converse(req, []);
  req.close();
}
console.log("ok");

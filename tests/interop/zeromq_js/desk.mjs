// A desk's client, written from guard/PROTOCOL.md: orders, fills, cancels, and what to do when no
// reply comes. Usage: node desk.mjs ENDPOINT. It prints "asking" once orders are under way, and
// "ok" when all were answered, whatever became of the guard meanwhile.
import assert from "node:assert/strict";
import * as zmq from "zeromq";

const PATIENCE_MS = 1000;

// One connection; requests are matched to replies by `request_id` (PROTOCOL 11). A request without
// a reply is sent again, the same bytes, over a fresh socket: what it asks is done once.
class Guard {
  #endpoint;
  #socket;
  #sending = Promise.resolve();
  #waiting = new Map(); // request_id → {body, resolve}
  #nextId = 1;
  #timer;
  #heardAt = Date.now();

  constructor(endpoint) {
    this.#endpoint = endpoint;
    this.#open();
    this.#timer = setInterval(() => this.#look(), 100);
  }

  ask(request) {
    const id = this.#nextId++;
    // `type` first: a cancel, a fill or a status is then seen to be urgent (PROTOCOL 1).
    const body = JSON.stringify({ ...request, request_id: id });
    return new Promise((resolve) => {
      if (this.#waiting.size === 0) this.#heardAt = Date.now();
      this.#waiting.set(id, { body, resolve });
      this.#send(body);
    });
  }

  close() {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #open() {
    // Without `linger: 0` the old socket would deliver what it holds whenever a guard is there.
    const socket = new zmq.Dealer({ linger: 0, sendHighWaterMark: 0, receiveHighWaterMark: 0 });
    socket.connect(this.#endpoint);
    this.#socket = socket;
    this.#receive(socket);
  }

  #send(body) {
    const socket = this.#socket;
    this.#sending = this.#sending.then(() => (socket.closed ? null : socket.send(body)));
    this.#sending.catch(() => null); // a socket closed meanwhile: it goes over the next one
    this.#sending = this.#sending.catch(() => null);
  }

  async #receive(socket) {
    try {
      for await (const [body] of socket) {
        const reply = JSON.parse(body.toString());
        this.#heardAt = Date.now();
        const asked = this.#waiting.get(reply.request_id);
        this.#waiting.delete(reply.request_id); // a second reply to one request is nobody's
        asked?.resolve(reply);
      }
    } catch (error) {
      if (!socket.closed) throw error;
    }
  }

  #look() {
    if (this.#waiting.size === 0 || Date.now() - this.#heardAt < PATIENCE_MS) return;
    this.#heardAt = Date.now();
    this.#socket.close();
    this.#open();
    for (const { body } of this.#waiting.values()) this.#send(body);
  }
}

const order = (id, more = {}) => ({
  type: "order",
  client_order_id: id,
  desk: "desk-alpha",
  symbol: "AAPL",
  side: "buy",
  quantity: 100,
  price: 19000,
  venue: 10,
  risk_bps: 200,
  confidence_bps: 9000,
  ...more,
});
const about = (type, id, more = {}) => ({ type, desk: "desk-alpha", client_order_id: id, ...more });
const fill = (id, fillId, quantity) =>
  about("fill", id, { fill_id: fillId, quantity, fee_microcents: 5000 });

const guard = new Guard(process.argv[2]);

const hello = await guard.ask({ type: "hello" });
assert.deepEqual([hello.type, hello.version, hello.currency], ["hello", 1, "USD"]);
assert.ok(hello.desks.includes("desk-alpha"));
const apple = hello.instruments.find((each) => each.symbol === "AAPL");
// 100 lots at 19,000 ticks, in microcents: above 2^53 nothing here, and so exact in a double.
const notional = 100 * 19000 * apple.tick_size * apple.lot_size * apple.multiplier * 1e8;

const admit = await guard.ask(order("A-1"));
assert.deepEqual([admit.type, admit.desk, admit.client_order_id], ["admit", "desk-alpha", "A-1"]);
assert.deepEqual([admit.venue, admit.substituted, admit.repeat], [10, false, false]);
assert.equal(admit.notional_microcents, Math.round(notional));
assert.ok(!Number.isSafeInteger(admit.received_at_ns), "a time is rounded by JSON.parse");
const again = await guard.ask(order("A-1"));
assert.deepEqual([again.repeat, again.wal_sequence], [true, admit.wal_sequence]);

const reject = await guard.ask(order("A-2", { quantity: 1e6 }));
assert.deepEqual([reject.type, reject.reason], ["reject", "exposure_limit_exceeded"]);
assert.ok(reject.detail.used + reject.detail.asked > reject.detail.limit);
const reused = await guard.ask(order("A-1", { price: 19001 }));
assert.deepEqual([reused.reason, reused.field], ["client_order_id_reused", "price"]);
const wrong = await guard.ask(order("A-3", { quantity: 0 }));
assert.deepEqual([wrong.type, wrong.code, wrong.field], ["error", "invalid_field", "quantity"]);
assert.equal(wrong.client_order_id, "A-3");

const filled = await guard.ask(fill("A-1", "F-1", 40));
assert.deepEqual([filled.type, filled.open_quantity, filled.flags], ["filled", 60, []]);
assert.equal((await guard.ask(fill("A-1", "F-1", 40))).repeat, true);
assert.equal((await guard.ask(fill("A-1", "F-1", 41))).code, "fill_id_reused");
const released = await guard.ask(about("cancel", "A-1"));
assert.equal(filled.released_microcents + released.released_microcents, admit.notional_microcents);
assert.equal((await guard.ask(about("cancel", "A-1"))).repeat, true);
const none = await guard.ask(about("cancel", "A-99"));
assert.deepEqual([none.type, none.released_microcents, none.flags], ["released", 0, ["early"]]);
assert.equal((await guard.ask(order("A-99"))).reason, "canceled_before_arrival");

// Many under way, while the guard is killed and comes back: each is admitted once.
const ids = Array.from({ length: 300 }, (_, number) => `K-${number}`);
let answered = 0;
const admits = await Promise.all(
  ids.map(async (id, number) => {
    await new Promise((resolve) => setTimeout(resolve, 5 * number));
    const reply = await guard.ask(order(id, { quantity: 1 }));
    if (++answered === 20) console.log("asking");
    return reply;
  }),
);
assert.deepEqual(admits.map((each) => each.client_order_id), ids);
assert.ok(admits.every((each) => each.type === "admit"));
assert.equal(new Set(admits.map((each) => each.wal_sequence)).size, ids.length);
const later = await guard.ask(order("A-1"));
assert.deepEqual([later.repeat, later.wal_sequence], [true, admit.wal_sequence]);
const state = await guard.ask(about("status", "K-299"));
assert.deepEqual([state.state, state.answer.wal_sequence], ["open", admits[299].wal_sequence]);
guard.close();
console.log("ok");

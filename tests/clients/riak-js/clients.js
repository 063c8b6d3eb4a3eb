// The clients of Riak for Node, basho-riak-client 2.4.0 and riakpbc 2.1.0, against every node.
const assert = require("node:assert/strict");
const { promisify } = require("node:util");
const Riak = require("basho-riak-client");
const RiakPbc = require("riakpbc");

const ports = process.argv.slice(2).map(Number);
const mark = `js-${process.pid}`;

async function basho(port) {
  const cluster = new Riak.Cluster({
    nodes: [new Riak.Node({ remoteAddress: "127.0.0.1", remotePort: port })],
  });
  const client = await new Promise((resolve, reject) => {
    new Riak.Client(cluster, (error, client) => (error ? reject(error) : resolve(client)));
  });
  const call = (name) => promisify(client[name].bind(client));
  const [store, fetch, remove] = ["storeValue", "fetchValue", "deleteValue"].map(call);
  const at = { bucketType: "carts", bucket: `${mark}-basho`, key: `cart-${port}` };
  assert.equal(await call("ping")(), true);
  assert.equal((await fetch(at)).isNotFound, true);

  const large = Buffer.alloc(1 << 20, 7);
  await store({ ...at, key: "large", value: large });
  assert.ok(large.equals((await fetch({ ...at, key: "large" })).values[0].value));
  await store({ ...at, value: "tea" });
  await store({ ...at, value: "coffee" }); // has seen nothing
  let got = await fetch(at);
  assert.deepEqual(got.values.map((it) => String(it.value)).sort(), ["coffee", "tea"]);
  const stored = await store({ ...at, value: "both", vclock: got.vclock, returnBody: true });
  assert.equal(String(stored.values[0].value), "both");
  got = await fetch({ ...at, r: 3 });
  assert.equal(got.values.length, 1);
  await assert.rejects(store({ ...at, value: "late", ifNoneMatch: true }), /match_found/);
  await assert.rejects(fetch({ ...at, r: 4 }), /n_val_violation/);
  await remove({ ...at, vclock: got.vclock });
  got = await fetch(at);
  assert.equal(got.isNotFound, true);
  await store({ ...at, value: "again" });
  assert.ok((await fetch(at)).values.some((it) => String(it.value) === "again"));

  const keys = new Set();
  await new Promise((resolve, reject) => {
    const { bucketType, bucket } = at;
    client.listKeys({ bucketType, bucket }, (error, page) => {
      if (error) return reject(error);
      page.keys.forEach((key) => keys.add(String(key)));
      if (page.done) resolve();
    });
  });
  assert.ok(keys.has("large") && keys.has(at.key));
  const props = await call("fetchBucketProps")({ bucketType: "carts", bucket: at.bucket });
  assert.deepEqual([props.nVal, props.allowMult], [3, true]);

  const data = { bucket: at.bucket, key: `data-${port}` };
  const counters = { ...data, bucketType: "counters" };
  await call("updateCounter")({ ...counters, increment: 5 });
  const count = await call("updateCounter")({ ...counters, increment: -2, returnBody: true });
  assert.equal(Number(count.counterValue), 3);
  const sets = { ...data, bucketType: "sets" };
  await call("updateSet")({ ...sets, additions: ["a", "b"] });
  const set = await call("fetchSet")(sets);
  const less = { ...sets, removals: ["a"], context: set.context, returnBody: true };
  assert.deepEqual((await call("updateSet")(less)).values.map(String), ["b"]);
  const op = new Riak.Commands.CRDT.UpdateMap.MapOperation();
  op.incrementCounter("visits", 2).setRegister("name", Buffer.from("n")).setFlag("on", true);
  op.map("inner").addToSet("deep", "x");
  await call("updateMap")({ ...data, bucketType: "maps", op });
  const map = (await call("fetchMap")({ ...data, bucketType: "maps" })).map;
  assert.equal(Number(map.counters.visits), 2);
  assert.deepEqual([String(map.registers.name), map.flags.on], ["n", true]);
  assert.deepEqual(map.maps.inner.sets.deep.map(String), ["x"]);
  await new Promise((resolve) => client.stop((error, state) => state && resolve()));
}

async function riakpbc(port) {
  const client = RiakPbc.createClient({ host: "127.0.0.1", port });
  const call = (name) => promisify(client[name].bind(client));
  await call("ping")();
  assert.match((await call("getServerInfo")()).server_version, /^\d+\.\d+\.\d+$/);
  const bucket = `${mark}-pbc`;
  const at = { bucket, key: `key-${port}`, type: "carts" };
  const content = (value) => ({ value, content_type: "text/plain" });
  await call("put")({ ...at, content: content("tea") });
  let got = await call("get")(at);
  assert.equal(got.content[0].value, "tea");
  await call("put")({ ...at, content: content("coffee"), vclock: got.vclock });
  got = await call("get")(at);
  assert.deepEqual(got.content.map((it) => it.value), ["coffee"]);
  const made = await call("put")({ bucket, content: content("made up"), return_body: true });
  assert.equal(made.content[0].value, "made up");
  await call("del")({ ...at, vclock: got.vclock });
  assert.deepEqual((await call("get")(at)).content ?? [], []);
  const keys = await call("getKeys")({ bucket });
  assert.ok(keys.keys.includes(String(made.key)));
  const buckets = await call("getBuckets")({});
  assert.ok(buckets.buckets.includes(bucket));
  const own = { bucket: `${bucket}-${port}` };
  await call("setBucket")({ ...own, props: { allow_mult: true, r: 1 } });
  let { props } = await call("getBucket")(own);
  assert.deepEqual([props.allow_mult, props.r], [true, 1]);
  await call("resetBucket")(own);
  ({ props } = await call("getBucket")(own));
  assert.deepEqual([props.allow_mult, props.r], [false, "quorum"]);
  await assert.rejects(call("get")({ ...at, r: 4 }), /n_val_violation/);
  client.disconnect?.();
}

// A callback that never comes would end the process as if all were well.
process.exitCode = 1;

(async () => {
  for (const port of ports) await basho(port);
  console.log(`basho-riak-client 2.4.0: ${ports.length} nodes`);
  for (const port of ports) await riakpbc(port);
  console.log(`riakpbc 2.1.0: ${ports.length} nodes`);
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

// What a program with ioredis sees of a node: node ioredis.mjs PORT [PORT...]

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'

const { version } = JSON.parse(readFileSync(new URL('node_modules/ioredis/package.json', import.meta.url)))
const ports = process.argv.slice(2).map(Number)

const checks = {
  async plainCommands(node) {
    assert.equal(await node.set('cart', 'tea'), 'OK')
    assert.equal(await node.get('cart'), 'tea')
    assert.equal(await node.exists('cart', 'nothing'), 1)
    assert.equal(await node.getdel('cart'), 'tea')
    assert.equal(await node.get('cart'), null)
    assert.equal(await node.del('cart'), 0)
  },

  async bytesOfAnyKind(node) {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    await node.set(every, every)
    assert.deepEqual(await node.getBuffer(every), every)
    const large = Buffer.alloc(1 << 20, 'v')
    await node.set('large', large)
    assert.deepEqual(await node.getBuffer('large'), large)
    await node.del('large')
  },

  async manyKeysAtOnce(node) {
    const names = Array.from({ length: 1000 }, (_, number) => `many ${number}`)
    await node.mset(...names.flatMap((name) => [name, name]))
    assert.deepEqual(await node.mget(names), names)
    assert.equal(await node.del(names), 1000)
  },

  async tenThousandInAPipeline(node) {
    const pipeline = node.pipeline()
    for (let number = 0; number < 5000; number++) {
      pipeline.set(`key ${number % 50}`, number).get(`key ${number % 50}`)
    }
    const answers = await pipeline.exec()
    answers.forEach(([error, answer], at) => {
      assert.equal(error, null)
      assert.equal(answer, at % 2 ? String((at - 1) / 2) : 'OK')
    })
  },

  async siblings(node, port) {
    const key = `shared with ${port}`
    await node.call('DYNAMO.PUT', 'carts', key, '', 'milk')
    await node.call('DYNAMO.PUT', 'carts', key, '', 'bread')
    const [context, values] = await node.callBuffer('DYNAMO.GET', 'carts', key)
    assert.deepEqual(values.map(String).sort(), ['bread', 'milk'])
    await node.call('DYNAMO.PUT', 'carts', key, context, 'both')
    const [, both] = await node.callBuffer('DYNAMO.GET', 'carts', key)
    assert.deepEqual(both.map(String), ['both'])
  },

  async whatWouldBeALieIsRefused(node) {
    await node.set('cart', 'tea')
    await assert.rejects(node.incr('cart'), /buckets of the type counter/)
    await assert.rejects(node.set('cart', 'milk', 'EX', 10), /nothing expires/)
    await assert.rejects(node.multi().set('cart', 'milk').exec(), /not done|MULTI/)
    assert.equal(await node.get('cart'), 'tea')
  },

  async manyCallersOfOneConnection(_, port) {
    const node = new Redis({ port, enableAutoPipelining: true })
    const numbers = Array.from({ length: 2000 }, (_, number) => number)
    await Promise.all(numbers.map((number) => node.set(`own ${number}`, number)))
    const got = await Promise.all(numbers.map((number) => node.get(`own ${number}`)))
    assert.deepEqual(got, numbers.map(String))
    await node.quit()
  },
}

for (const port of ports) {
  const node = new Redis({ port })
  for (const [name, check] of Object.entries(checks)) {
    await check(node, port).catch((error) => {
      console.error(`in ${name}, port ${port}`)
      throw error
    })
  }
  await node.quit()
}
console.log(`ioredis ${version}: ${Object.keys(checks).length} checks on each of ${ports.length} nodes`)

// A web shop of one page that takes Specie: an example to copy from, for Node 18 or
// newer and nothing else. The same in Go is main.go. See docs/webshop.md.
import { createServer } from 'node:http'
import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

const { values: flags } = parseArgs({ options: {
  desk: { type: 'string', default: 'http://127.0.0.1:8091' },
  'key-file': { type: 'string', default: 'shop.key' },
  'secret-file': { type: 'string', default: 'shop.secret' },
  listen: { type: 'string', default: '127.0.0.1:8092' },
} })
const secretFile = path => readFileSync(path, 'utf8').trim()
const key = secretFile(flags['key-file'])
const secret = Buffer.from(secretFile(flags['secret-file']).replace(/^whsec_/, ''), 'base64')
const orders = new Map() // by the sale's id: waiting, deposited, …
const kept = new Map() // by the sale's id: the payment that the till has accepted without the bank

// ask asks the desk.
async function ask(method, path, body) {
  const resp = await fetch(`${flags.desk}/desk/v1/${path}`, {
    method, signal: AbortSignal.timeout(20_000),
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  })
  if (!resp.ok) throw new Error(`the desk answers ${resp.status}: ${await resp.text()}`)
  return resp
}

// verify checks a message by the Standard Webhooks scheme.
function verify(headers, body) {
  const id = headers['webhook-id'], at = headers['webhook-timestamp']
  if (!id || !/^\d+$/.test(at ?? '') || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false
  const want = createHmac('sha256', secret).update(`${id}.${at}.`).update(body).digest()
  return String(headers['webhook-signature'] ?? '').split(' ').some(given => {
    if (!given.startsWith('v1,')) return false
    const mac = Buffer.from(given.slice(3), 'base64')
    return mac.length === want.length && timingSafeEqual(mac, want)
  })
}

async function readBody(req) {
  const parts = []
  let size = 0
  for await (const part of req) {
    if ((size += part.length) > 65_536) throw new Error('too large')
    parts.push(part)
  }
  return Buffer.concat(parts)
}

const escape = s => s.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)
const page = (res, text) => res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(text)

// buy makes an offer, and shows how to pay it.
async function buy(res) {
  const sale = await (await ask('POST', 'sales', { amount: 450, order: 'mug', purpose: 'a blue mug' })).json()
  if (!orders.has(sale.id)) orders.set(sale.id, sale.state) // the webhook may have been faster
  page(res, `<p>Scan this, or <a href="${escape(sale.link)}">pay here</a>.<p><img src="/qr/${sale.id}" alt="payment code">` +
    `<p><a href="/orders/${sale.id}">Is it paid?</a>`)
}

// webhook is told by the till what becomes of a sale. A message may come twice: what
// it says is noted, and nothing is counted.
async function webhook(req, res) {
  const body = await readBody(req)
  if (!verify(req.headers, body)) return res.writeHead(401).end('no\n')
  const { sale, step, op } = JSON.parse(body).data
  // A paid one stays paid. A refused attempt leaves the offer open, but of the payment
  // that was kept it says that the money is lost.
  const attempt = step === 'refused' && (!kept.has(sale) || kept.get(sale) !== op)
  if (sale && !attempt && orders.get(sale) !== 'deposited') {
    orders.set(sale, step)
    if (step === 'kept') kept.set(sale, op)
  }
  res.writeHead(204).end()
}

const server = createServer(async (req, res) => {
  try {
    const [, what, id] = req.url.split('/')
    if (req.method === 'GET' && req.url === '/') {
      page(res, '<h1>A blue mug</h1><form method="post" action="/buy"><button>Buy for 4.50</button></form>')
    } else if (req.method === 'POST' && req.url === '/buy') {
      await buy(res)
    } else if (req.method === 'POST' && req.url === '/webhook') {
      await webhook(req, res)
    } else if (req.method === 'GET' && what === 'qr' && orders.has(id)) {
      const picture = await ask('GET', `sales/${id}/qr.svg`) // customers don't reach the desk
      res.writeHead(200, { 'Content-Type': 'image/svg+xml' }).end(await picture.text())
    } else if (req.method === 'GET' && what === 'orders' && orders.has(id)) {
      res.writeHead(200, { 'Content-Type': 'text/plain' }).end(orders.get(id) + '\n')
    } else {
      res.writeHead(404).end('not found\n')
    }
  } catch (err) {
    console.error(err.message)
    if (!res.headersSent) res.writeHead(502)
    res.end('the till does not answer; try again\n')
  }
})
const colon = flags.listen.lastIndexOf(':')
server.listen(Number(flags.listen.slice(colon + 1)), flags.listen.slice(0, colon), () => {
  console.log(`shop open at http://${server.address().address}:${server.address().port}`)
})

// Counts visits in Valkey: over TLS, with the certificate that the cluster's CA has signed, in RESP as it is on the wire.
const fs = require('fs')
const http = require('http')
const tls = require('tls')
const { CACHE_HOST, CACHE_PORT, CACHE_PASSWORD, PORT } = process.env

const command = (...words) => `*${words.length}\r\n` + words.map(w => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join('')

function visit (done) {
  let said = ''
  const socket = tls.connect({ host: CACHE_HOST, port: CACHE_PORT, ca: fs.readFileSync('/etc/hostctl/tls/ca.crt') }, () => {
    socket.write(command('AUTH', 'live', CACHE_PASSWORD) + command('INCR', 'visits'))
  })
  socket.setTimeout(2000, () => socket.destroy(new Error('Valkey does not answer')))
  socket.on('error', done)
  socket.on('data', data => {
    said += data
    const count = /^\+OK\r\n:(\d+)\r\n/.exec(said)
    if (count || said.startsWith('-')) {
      socket.end()
      done(count ? null : new Error(said), count && count[1])
    }
  })
}

http.createServer((request, response) => {
  if (request.url === '/healthz') return response.end('ok\n')
  visit((err, count) => {
    response.statusCode = err ? 500 : 200
    response.end(err ? 'no Valkey\n' : `live of initech: node ${process.version}, visit ${count} in Valkey\n`)
  })
}).listen(PORT)

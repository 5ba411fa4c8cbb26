require('http').createServer((request, response) => {
  response.end(`live of initech: node ${process.version}\n`)
}).listen(process.env.PORT)

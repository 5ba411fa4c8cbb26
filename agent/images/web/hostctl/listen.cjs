// Loaded before a node site's own code: the first server that it starts listens on the socket that is handed to the
// process (sd_listen_fds(3)), whatever port or path it asks for. Programs that it starts itself are left as they are.
'use strict';
const net = require('net');
const cluster = require('cluster');

if (cluster.isWorker || process.env.LISTEN_PID === String(process.pid)) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    net.Server.prototype.listen = listen;
    const done = args.find((a) => typeof a === 'function');
    return done ? listen.call(this, { fd: 3 }, done) : listen.call(this, { fd: 3 });
  };
}

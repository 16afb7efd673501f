const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');

if (cluster.isPrimary) {
    cluster.fork();
    cluster.fork();
    process.once('SIGTERM', () => cluster.disconnect());
} else {
    http.createServer((request, response) => {
        fs.writeFileSync('@FOLDER@/begun', '');
        setTimeout(() => response.end('done\n'), 3000);
    }).listen(@PORT@, '127.0.0.1', () => fs.writeFileSync(`@FOLDER@/up-${process.pid}`, ''));
}

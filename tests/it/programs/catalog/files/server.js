const fs = require('node:fs');
const http = require('node:http');

const server = http.createServer((request, response) => {
    fs.writeFileSync('@FOLDER@/begun', '');
    setTimeout(() => response.end('done\n'), 3000);
});
server.listen(@PORT@, '127.0.0.1');
process.once('SIGTERM', () => {
    // A second one means: at once.
    process.once('SIGTERM', () => process.exit(9));
    server.close();
});

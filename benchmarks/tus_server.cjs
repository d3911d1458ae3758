// @tus/server with its file store, as its README starts it: node tus_server.cjs PORT FOLDER
const { createRequire } = require("node:module");
const load = createRequire(process.env.NODE_PATH + "/x.js");
const { Server } = load("@tus/server");
const { FileStore } = load("@tus/file-store");

const [port, directory] = process.argv.slice(2);
const server = new Server({ path: "/files", datastore: new FileStore({ directory }) });
server.listen({ host: "127.0.0.1", port: Number(port) });

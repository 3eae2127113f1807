// Busy clients of one server behind node's keep-alive agent, until it is gone. Prints what clients.py prints.
import http from "node:http";

const port = Number(process.argv[2]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const total = { answered: 0, announced: 0, lost: [] };

function ask(path) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port, path, agent }, (response) => {
      response.on("error", reject);
      response.on("end", () => resolve(response));
      response.resume();
    });
    request.on("error", reject);
  });
}

async function client(number) {
  for (let turn = 0; ; turn += 1) {
    const path = turn % 4 === 3 ? "/healthz" : `/should-show-ad/${number}?dry_run=true`;
    try {
      const response = await ask(path);
      total.answered += 1;
      total.announced += response.headers.connection === "close" ? 1 : 0;
      if (response.statusCode !== 200) total.lost.push(`${path}: status ${response.statusCode}`);
    } catch (error) {
      // Nothing was sent: the server is gone.
      if (error.code === "ECONNREFUSED") return;
      total.lost.push(String(error.code ?? error));
    }
  }
}

await Promise.all(Array.from({ length: 16 }, (_, number) => client(number)));
console.log(JSON.stringify(total));
process.exit(0);

/** Answers anything with the same bytes: shows how much load the generator can make at most. */
import { createServer } from "node:net"

const body = JSON.stringify({ id: crypto.randomUUID(), padding: "x".repeat(250) })
const answer = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n` +
  `Content-Length: ${body.length}\r\n\r\n${body}`

createServer({ noDelay: true }, (socket) => {
  socket.on("data", () => socket.write(answer))
  socket.on("error", () => socket.destroy())
}).listen(Number(Deno.env.get("PORT")), "127.0.0.1")

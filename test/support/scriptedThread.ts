/**
 * A thread that does what its script says, the part of the address after `#`, instead of serving.
 */
import { stop, type ThreadReport } from "../../src/threads/messages.ts"

const report = (port: MessagePort, message: ThreadReport) => port.postMessage(message)

const listens = (port: MessagePort, onStop: () => void) => {
  report(port, { status: "listening" })
  port.addEventListener("message", ({ data }) => {
    if (data === stop) onStop()
  })
  port.start()
}

const scripts: Record<string, (port: MessagePort) => void> = {
  "stops when it is told to": (port) => listens(port, () => report(port, { status: "stopped" })),
  "fails when it is told to stop": (port) =>
    listens(port, () => report(port, { status: "failed", reason: "no end" })),
  "never listens": () => {},
  "never stops": (port) => listens(port, () => {}),
  "throws": (port) => {
    report(port, { status: "listening" })
    setTimeout(() => {
      throw new Error("boom")
    })
  },
  "fails": (port) => report(port, { status: "failed", reason: "no database" }),
  "ends": (port) => report(port, { status: "stopped" }),
}

addEventListener("message", (event) => {
  if (!(event instanceof MessageEvent)) return
  const [port] = event.ports
  const script = decodeURIComponent(new URL(import.meta.url).hash.slice(1))
  if (port !== undefined) scripts[script]?.(port)
}, { once: true })

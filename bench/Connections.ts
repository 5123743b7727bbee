/**
 * Blocking sockets and `epoll` by way of the C library. The generator of load shares its processor
 * with what it measures: a request costs it a `send`, a `recv` and a share of an `epoll_wait`,
 * without streams, events and promises around them.
 */

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // C has their lengths as size_t, which a register holds alike.
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
}).symbols

const AF_INET = 2
const SOCK_STREAM = 1
const IPPROTO_TCP = 6
const TCP_NODELAY = 1
// A connection that the server has closed is an answer of -1, not a signal.
const MSG_NOSIGNAL = 0x4000
const EPOLL_CTL_ADD = 1
const EPOLLIN = 1

/** `struct epoll_event` is packed on x86 only. */
const event = Deno.build.arch === "x86_64" ? { size: 12, data: 4 } : { size: 16, data: 8 }

const loopback = (port: number) => {
  const address = new Uint8Array(16)
  const view = new DataView(address.buffer)
  view.setUint16(0, AF_INET, true)
  view.setUint16(2, port)
  address.set([127, 0, 0, 1], 4)
  return address
}

/** Up to `count` connections to a port of this machine, known by the numbers from 0. */
export const make = (port: number, count: number) => {
  const address = loopback(port)
  const poll = libc.epoll_create1(0)
  const descriptors = new Int32Array(count).fill(-1)
  const events = new DataView(new ArrayBuffer(event.size * count))
  const eventBytes = new Uint8Array(events.buffer)

  const close = (k: number) => {
    libc.close(descriptors[k]!)
    descriptors[k] = -1
  }

  /** Whether the server takes it. */
  const open = (k: number): boolean => {
    const descriptor = libc.socket(AF_INET, SOCK_STREAM, 0)
    descriptors[k] = descriptor
    libc.setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, new Uint8Array([1, 0, 0, 0]), 4)
    const interest = new DataView(new ArrayBuffer(event.size))
    interest.setUint32(0, EPOLLIN, true)
    interest.setUint32(event.data, k, true)
    if (
      libc.connect(descriptor, address, address.length) === 0 &&
      libc.epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, new Uint8Array(interest.buffer)) === 0
    ) return true
    close(k)
    return false
  }

  return {
    open,
    close,
    /** All of it; where the connection is gone, the next `receive` tells. */
    send: (k: number, bytes: Uint8Array<ArrayBuffer>, length: number) => {
      libc.send(descriptors[k]!, bytes, length, MSG_NOSIGNAL)
    },
    /** How many bytes have come, which is none or less when the connection is gone. */
    receive: (k: number, into: Uint8Array<ArrayBuffer>): number =>
      libc.recv(descriptors[k]!, into, into.length, 0),
    /** Waits for one that can be read from; how many there are. */
    wait: (milliseconds: number): number =>
      libc.epoll_wait(poll, eventBytes, count, Math.max(0, Math.ceil(milliseconds))),
    /** The `n`-th of those that can be read from. */
    ready: (n: number): number => events.getUint32(event.size * n + event.data, true),
    end: () => {
      for (const [k, descriptor] of descriptors.entries()) if (descriptor !== -1) close(k)
      libc.close(poll)
    },
  }
}

export { concernsServer, isTransient } from "./failures.ts";
export { type Guarded, type GuardOptions, guard } from "./guard.ts";
export { end, giveUp, isAlive, ping, ref, unref } from "./liveness.ts";

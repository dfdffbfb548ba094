/**
 * What can be observed, by `node:diagnostics_channel`. Names and payloads are public; docs/errors.md has the table.
 * Without a subscriber an event costs one comparison.
 */
import { type Channel, channel, type TracingChannel, tracingChannel } from "node:diagnostics_channel";

/** An acquire, from the call to the connection: `{ pool }`. */
export const acquireChannel: TracingChannel = tracingChannel("forksafe:pool:acquire");
/** The opening of a connection: `{ pool }`. */
export const createChannel: TracingChannel = tracingChannel("forksafe:connection:create");
/** A connection came back: `{ pool, resource }`. */
export const releaseChannel: Channel = channel("forksafe:connection:release");
/** A connection of ours was ended: `{ pool, resource, error? }`. */
export const destroyChannel: Channel = channel("forksafe:connection:destroy");
/** An inherited connection was forgotten: `{ pool, resource, change }`; `resource` is undefined while it was connecting. */
export const discardChannel: Channel = channel("forksafe:connection:discard");
/** A connection is held for longer than `leakThresholdMillis`: `{ pool, resource, heldMillis, stack }`. */
export const leakChannel: Channel = channel("forksafe:connection:leak");
/** A pool has started afresh: `{ pool, change }`. */
export const processChangeChannel: Channel = channel("forksafe:pool:process-change");
/** The last connection of a drained or closed pool has gone: `{ pool }`. */
export const closeChannel: Channel = channel("forksafe:pool:close");

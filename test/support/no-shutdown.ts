/** See without-shutdown.ts. */
export const shutdownMillis = 0;
export const workerShutdownMillis = 0;

export function shutDownWhenAsked(): void {}

export async function shutDown(): Promise<void> {
	process.exit();
}

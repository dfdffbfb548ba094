const leftovers: (() => Promise<unknown>)[] = [];

/** To be done when the running test has ended, however it ends; what was asked for last comes first. */
export function afterThisTest(cleanUp: () => Promise<unknown>): void {
	leftovers.push(cleanUp);
}

afterEach(async () => {
	for (let cleanUp = leftovers.pop(); cleanUp !== undefined; cleanUp = leftovers.pop()) await cleanUp();
});

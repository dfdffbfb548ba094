/** An element that the test relies on. */
export function at<T>(list: readonly T[], index: number): T {
	const element = list.at(index);
	if (element === undefined) throw new Error(`there is no element ${index} among ${list.length}`);
	return element;
}

export class FakeConnection {
	isOpen = true;
}

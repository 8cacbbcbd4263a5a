"""The process ``nsqd``: NSQ's clients on one side, a store on the other."""

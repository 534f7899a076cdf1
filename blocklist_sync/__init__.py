"""The list: from a legal order to the rules in force at every edge."""

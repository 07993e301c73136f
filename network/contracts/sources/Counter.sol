// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// A number that anyone may move: the smallest contract with state, events and a refusal.
contract Counter {
    uint256 public number;

    event NumberChanged(address indexed by, uint256 number);

    /// The value asked for is the one that already stands.
    error Unchanged(uint256 number);

    function increment() external {
        number += 1;
        emit NumberChanged(msg.sender, number);
    }

    function setNumber(uint256 newNumber) external {
        if (newNumber == number) revert Unchanged(newNumber);
        number = newNumber;
        emit NumberChanged(msg.sender, newNumber);
    }

    function reset() external {
        require(number != 0, "Counter: already zero");
        number = 0;
        emit NumberChanged(msg.sender, 0);
    }
}

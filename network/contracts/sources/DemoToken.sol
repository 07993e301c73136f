// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// OpenZeppelin's ERC-20 as it stands; the whole supply goes to the deployer.
contract DemoToken is ERC20 {
    constructor(uint256 initialSupply) ERC20("evmesh demo token", "MESH") {
        _mint(msg.sender, initialSupply);
    }
}

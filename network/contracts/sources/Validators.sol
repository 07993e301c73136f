// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// Who votes on the blocks of this chain. The node reads the storage after every block: the set of a height is what
/// the block before it left here. The layout of the storage is part of the rules (node/consensus/validator_contract.py).
contract Validators {
    /// Marks the weight of a validator whom a block has convicted. The node writes it; nothing here takes it away.
    uint256 public constant CONVICTED = 1 << 255;
    uint256 public constant WEIGHT_MAX = 1 << 32;
    uint256 public constant MEMBERS_MAX = 256;

    address public owner; // slot 0
    uint256 private _changedIn; // slot 1: the block of the last change
    uint256 private _totalBefore; // slot 2: the weight of all when that block began
    uint256 private _changed; // slot 3: how much weight that block has moved so far
    address[] private _members; // slot 4
    mapping(address => uint256) private _weights; // slot 5

    event WeightChanged(address indexed validator, uint256 before, uint256 weight);
    event OwnerChanged(address indexed before, address indexed owner);

    /// Only the owner changes the set.
    error NotOwner(address caller);
    /// A validator is an address other than zero, with a weight of at most WEIGHT_MAX.
    error BadValidator(address validator, uint256 weight);
    /// A block has taken the vote from this key for contradicting itself; it never gets it back.
    error Convicted(address validator);
    /// At most a third of the weight (or one unit of it) may move in one block.
    error TooMuchInOneBlock(uint256 changed, uint256 total);
    /// Somebody must be left to vote.
    error NobodyLeft();
    error TooMany();

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    /// Give a validator this weight; 0 takes the vote away. Counts from the next block on.
    function setValidator(address validator, uint256 weight) external onlyOwner {
        if (validator == address(0) || weight > WEIGHT_MAX) revert BadValidator(validator, weight);
        uint256 before = _weights[validator];
        if (before == CONVICTED) revert Convicted(validator);
        if (before == weight) return;
        uint256 total = totalWeight();
        if (_changedIn != block.number) {
            _changedIn = block.number;
            _totalBefore = total;
            _changed = 0;
        }
        _changed += before > weight ? before - weight : weight - before;
        if (_changed > 1 && 3 * _changed > _totalBefore) revert TooMuchInOneBlock(_changed, _totalBefore);
        if (total - before + weight == 0) revert NobodyLeft();
        if (before == 0) _join(validator);
        if (weight == 0) _leave(validator);
        _weights[validator] = weight;
        emit WeightChanged(validator, before, weight);
    }

    function setOwner(address newOwner) external onlyOwner {
        emit OwnerChanged(owner, newOwner);
        owner = newOwner;
    }

    /// The weight that counts: 0 for strangers and for the convicted.
    function weightOf(address validator) public view returns (uint256) {
        uint256 weight = _weights[validator];
        return weight == CONVICTED ? 0 : weight;
    }

    function isConvicted(address validator) external view returns (bool) {
        return _weights[validator] == CONVICTED;
    }

    function totalWeight() public view returns (uint256 total) {
        for (uint256 i = 0; i < _members.length; i++) total += weightOf(_members[i]);
    }

    /// Everybody who has a vote, with its weight.
    function validators() external view returns (address[] memory addresses, uint256[] memory weights) {
        addresses = _members;
        weights = new uint256[](addresses.length);
        for (uint256 i = 0; i < addresses.length; i++) weights[i] = weightOf(addresses[i]);
    }

    function _join(address validator) private {
        if (_members.length == MEMBERS_MAX) _leaveConvicted();
        _members.push(validator);
    }

    function _leave(address validator) private {
        for (uint256 i = 0; i < _members.length; i++) {
            if (_members[i] == validator) {
                _members[i] = _members[_members.length - 1];
                _members.pop();
                return;
            }
        }
    }

    /// The convicted keep their mark, but not their place.
    function _leaveConvicted() private {
        for (uint256 i = 0; i < _members.length; i++) {
            if (_weights[_members[i]] == CONVICTED) {
                _members[i] = _members[_members.length - 1];
                _members.pop();
                return;
            }
        }
        revert TooMany();
    }
}

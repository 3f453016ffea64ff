//! The procedures of libvirt that change something: each is refused as libvirt refuses it on a
//! connection for reading.
//!
//! Numbers, names and origins are those that libvirtd 9.0 gave when each procedure was called on
//! such a connection. Some of them only look, but from inside the guest.

/// A procedure that is refused: its number, the part of libvirt that refuses it, the function's
/// name.
pub(super) struct Write(pub(super) i32, pub(super) i32, pub(super) &'static str);

/// Returns the procedure of a number, if it changes something.
pub(super) fn write(procedure: i32) -> Option<&'static Write> {
    let place = WRITES.binary_search_by_key(&procedure, |write| write.0).ok()?;
    Some(&WRITES[place])
}

/// Returns the function that a procedure of the program for QEMU alone serves, if it changes
/// something.
pub(super) fn qemu_write(procedure: i32) -> Option<&'static str> {
    QEMU.iter().find(|(number, _)| *number == procedure).map(|(_, function)| *function)
}

const QEMU: [(i32, &str); 5] = [
    (1, "virDomainQemuMonitorCommand"),
    (2, "virDomainQemuAttach"),
    (3, "virDomainQemuAgentCommand"),
    (4, "virConnectDomainQemuMonitorEventRegister"),
    (7, "virDomainQemuMonitorCommandWithFiles"),
];

const DOMAIN: i32 = 20;
const NETWORK: i32 = 19;
const STORAGE: i32 = 18;
const NODE_DEVICE: i32 = 22;
const INTERFACE: i32 = 26;
const SECRET: i32 = 30;
const FILTER: i32 = 33;
const SNAPSHOT: i32 = 35;
const CHECKPOINT: i32 = 69;

/// By their numbers.
const WRITES: &[Write] = &[
    Write(8, DOMAIN, "virDomainAttachDevice"),
    Write(9, DOMAIN, "virDomainCreate"),
    Write(10, DOMAIN, "virDomainCreateXML"),
    Write(11, DOMAIN, "virDomainDefineXML"),
    Write(12, DOMAIN, "virDomainDestroy"),
    Write(13, DOMAIN, "virDomainDetachDevice"),
    Write(26, DOMAIN, "virDomainPinVcpu"),
    Write(27, DOMAIN, "virDomainReboot"),
    Write(28, DOMAIN, "virDomainResume"),
    Write(29, DOMAIN, "virDomainSetAutostart"),
    Write(30, DOMAIN, "virDomainSetMaxMemory"),
    Write(31, DOMAIN, "virDomainSetMemory"),
    Write(32, DOMAIN, "virDomainSetVcpus"),
    Write(33, DOMAIN, "virDomainShutdown"),
    Write(34, DOMAIN, "virDomainSuspend"),
    Write(35, DOMAIN, "virDomainUndefine"),
    Write(39, NETWORK, "virNetworkCreate"),
    Write(40, NETWORK, "virNetworkCreateXML"),
    Write(41, NETWORK, "virNetworkDefineXML"),
    Write(42, NETWORK, "virNetworkDestroy"),
    Write(48, NETWORK, "virNetworkSetAutostart"),
    Write(49, NETWORK, "virNetworkUndefine"),
    Write(53, DOMAIN, "virDomainCoreDump"),
    Write(54, DOMAIN, "virDomainRestore"),
    Write(55, DOMAIN, "virDomainSave"),
    Write(58, DOMAIN, "virDomainSetSchedulerParameters"),
    Write(61, DOMAIN, "virDomainMigratePrepare"),
    Write(62, DOMAIN, "virDomainMigratePerform"),
    Write(63, DOMAIN, "virDomainMigrateFinish"),
    Write(75, STORAGE, "virConnectFindStoragePoolSources"),
    Write(76, STORAGE, "virStoragePoolCreateXML"),
    Write(77, STORAGE, "virStoragePoolDefineXML"),
    Write(78, STORAGE, "virStoragePoolCreate"),
    Write(79, STORAGE, "virStoragePoolBuild"),
    Write(80, STORAGE, "virStoragePoolDestroy"),
    Write(81, STORAGE, "virStoragePoolDelete"),
    Write(82, STORAGE, "virStoragePoolUndefine"),
    Write(83, STORAGE, "virStoragePoolRefresh"),
    Write(90, STORAGE, "virStoragePoolSetAutostart"),
    Write(93, STORAGE, "virStorageVolCreateXML"),
    Write(94, STORAGE, "virStorageVolDelete"),
    Write(103, DOMAIN, "virDomainBlockPeek"),
    Write(104, DOMAIN, "virDomainMemoryPeek"),
    Write(108, DOMAIN, "virDomainMigratePrepare2"),
    Write(109, DOMAIN, "virDomainMigrateFinish2"),
    Write(118, NODE_DEVICE, "virNodeDeviceDettach"),
    Write(119, NODE_DEVICE, "virNodeDeviceReAttach"),
    Write(120, NODE_DEVICE, "virNodeDeviceReset"),
    Write(123, NODE_DEVICE, "virNodeDeviceCreateXML"),
    Write(124, NODE_DEVICE, "virNodeDeviceDestroy"),
    Write(125, STORAGE, "virStorageVolCreateXMLFrom"),
    Write(131, INTERFACE, "virInterfaceDefineXML"),
    Write(132, INTERFACE, "virInterfaceUndefine"),
    Write(133, INTERFACE, "virInterfaceCreate"),
    Write(134, INTERFACE, "virInterfaceDestroy"),
    Write(135, DOMAIN, "virConnectDomainXMLFromNative"),
    Write(136, DOMAIN, "virConnectDomainXMLToNative"),
    Write(142, SECRET, "virSecretDefineXML"),
    Write(144, SECRET, "virSecretSetValue"),
    Write(145, SECRET, "virSecretGetValue"),
    Write(146, SECRET, "virSecretUndefine"),
    Write(148, DOMAIN, "virDomainMigratePrepareTunnel"),
    Write(160, DOMAIN, "virDomainAttachDeviceFlags"),
    Write(161, DOMAIN, "virDomainDetachDeviceFlags"),
    Write(164, DOMAIN, "virDomainAbortJob"),
    Write(165, STORAGE, "virStorageVolWipe"),
    Write(166, DOMAIN, "virDomainMigrateSetMaxDowntime"),
    Write(174, DOMAIN, "virDomainUpdateDeviceFlags"),
    Write(180, FILTER, "virNWFilterDefineXML"),
    Write(181, FILTER, "virNWFilterUndefine"),
    Write(182, DOMAIN, "virDomainManagedSave"),
    Write(184, DOMAIN, "virDomainManagedSaveRemove"),
    Write(185, SNAPSHOT, "virDomainSnapshotCreateXML"),
    Write(192, SNAPSHOT, "virDomainRevertToSnapshot"),
    Write(193, SNAPSHOT, "virDomainSnapshotDelete"),
    Write(196, DOMAIN, "virDomainCreateWithFlags"),
    Write(197, DOMAIN, "virDomainSetMemoryParameters"),
    Write(199, DOMAIN, "virDomainSetVcpusFlags"),
    Write(201, DOMAIN, "virDomainOpenConsole"),
    Write(204, DOMAIN, "virDomainSetMemoryFlags"),
    Write(205, DOMAIN, "virDomainSetBlkioParameters"),
    Write(207, DOMAIN, "virDomainMigrateSetMaxSpeed"),
    Write(208, STORAGE, "virStorageVolUpload"),
    Write(209, STORAGE, "virStorageVolDownload"),
    Write(210, DOMAIN, "virDomainInjectNMI"),
    Write(211, DOMAIN, "virDomainScreenshot"),
    Write(213, DOMAIN, "virDomainMigrateBegin3"),
    Write(214, DOMAIN, "virDomainMigratePrepare3"),
    Write(215, DOMAIN, "virDomainMigratePrepareTunnel3"),
    Write(216, DOMAIN, "virDomainMigratePerform3"),
    Write(217, DOMAIN, "virDomainMigrateFinish3"),
    Write(218, DOMAIN, "virDomainMigrateConfirm3"),
    Write(219, DOMAIN, "virDomainSetSchedulerParametersFlags"),
    Write(220, INTERFACE, "virInterfaceChangeBegin"),
    Write(221, INTERFACE, "virInterfaceChangeCommit"),
    Write(222, INTERFACE, "virInterfaceChangeRollback"),
    Write(225, DOMAIN, "virDomainPinVcpuFlags"),
    Write(226, DOMAIN, "virDomainSendKey"),
    Write(231, DOMAIN, "virDomainUndefineFlags"),
    Write(232, DOMAIN, "virDomainSaveFlags"),
    Write(233, DOMAIN, "virDomainRestoreFlags"),
    Write(234, DOMAIN, "virDomainDestroyFlags"),
    Write(235, DOMAIN, "virDomainSaveImageGetXMLDesc"),
    Write(236, DOMAIN, "virDomainSaveImageDefineXML"),
    Write(237, DOMAIN, "virDomainBlockJobAbort"),
    Write(239, DOMAIN, "virDomainBlockJobSetSpeed"),
    Write(240, DOMAIN, "virDomainBlockPull"),
    Write(242, DOMAIN, "virDomainMigrateGetMaxSpeed"),
    Write(245, DOMAIN, "virDomainReset"),
    Write(250, DOMAIN, "virNodeSuspendForDuration"),
    Write(251, DOMAIN, "virDomainBlockResize"),
    Write(252, DOMAIN, "virDomainSetBlockIoTune"),
    Write(254, DOMAIN, "virDomainSetNumaParameters"),
    Write(256, DOMAIN, "virDomainSetInterfaceParameters"),
    Write(258, DOMAIN, "virDomainShutdownFlags"),
    Write(259, STORAGE, "virStorageVolWipePattern"),
    Write(260, STORAGE, "virStorageVolResize"),
    Write(261, DOMAIN, "virDomainPMSuspendForDuration"),
    Write(264, DOMAIN, "virDomainSetMetadata"),
    Write(266, DOMAIN, "virDomainBlockRebase"),
    Write(267, DOMAIN, "virDomainPMWakeup"),
    Write(277, DOMAIN, "virDomainGetHostname"),
    Write(279, DOMAIN, "virDomainPinEmulator"),
    Write(288, DOMAIN, "virNodeSetMemoryParameters"),
    Write(290, DOMAIN, "virDomainBlockCommit"),
    Write(291, NETWORK, "virNetworkUpdate"),
    Write(294, DOMAIN, "virDomainFSTrim"),
    Write(295, DOMAIN, "virDomainSendProcessSignal"),
    Write(296, DOMAIN, "virDomainOpenChannel"),
    Write(300, DOMAIN, "virDomainMigrateSetCompressionCache"),
    Write(301, NODE_DEVICE, "virNodeDeviceDetachFlags"),
    Write(302, DOMAIN, "virDomainMigrateBegin3Params"),
    Write(303, DOMAIN, "virDomainMigratePrepare3Params"),
    Write(304, DOMAIN, "virDomainMigratePrepareTunnel3Params"),
    Write(305, DOMAIN, "virDomainMigratePerform3Params"),
    Write(306, DOMAIN, "virDomainMigrateFinish3Params"),
    Write(307, DOMAIN, "virDomainMigrateConfirm3Params"),
    Write(308, DOMAIN, "virDomainSetMemoryStatsPeriod"),
    Write(309, DOMAIN, "virDomainCreateXMLWithFiles"),
    Write(310, DOMAIN, "virDomainCreateWithFiles"),
    Write(334, DOMAIN, "virDomainCoreDumpWithFormat"),
    Write(335, DOMAIN, "virDomainFSFreeze"),
    Write(336, DOMAIN, "virDomainFSThaw"),
    Write(337, DOMAIN, "virDomainGetTime"),
    Write(338, DOMAIN, "virDomainSetTime"),
    Write(342, DOMAIN, "virConnectGetDomainCapabilities"),
    Write(343, DOMAIN, "virDomainOpenGraphicsFD"),
    Write(345, DOMAIN, "virDomainBlockCopy"),
    Write(347, DOMAIN, "virNodeAllocPages"),
    Write(349, DOMAIN, "virDomainGetFSInfo"),
    Write(350, DOMAIN, "virDomainDefineXMLFlags"),
    Write(352, DOMAIN, "virDomainPinIOThread"),
    Write(355, DOMAIN, "virDomainAddIOThread"),
    Write(356, DOMAIN, "virDomainDelIOThread"),
    Write(357, DOMAIN, "virDomainSetUserPassword"),
    Write(358, DOMAIN, "virDomainRename"),
    Write(364, DOMAIN, "virDomainMigrateStartPostCopy"),
    Write(366, DOMAIN, "virDomainSetPerfEvents"),
    Write(371, DOMAIN, "virDomainGetGuestVcpus"),
    Write(372, DOMAIN, "virDomainSetGuestVcpus"),
    Write(384, DOMAIN, "virDomainSetVcpu"),
    Write(386, DOMAIN, "virDomainSetBlockThreshold"),
    Write(389, DOMAIN, "virDomainManagedSaveDefineXML"),
    Write(390, DOMAIN, "virDomainSetLifecycleAction"),
    Write(392, DOMAIN, "virDomainDetachDeviceAlias"),
    Write(393, DOMAIN, "virConnectCompareHypervisorCPU"),
    Write(394, DOMAIN, "virConnectBaselineHypervisorCPU"),
    Write(395, DOMAIN, "virNodeGetSEVInfo"),
    Write(396, DOMAIN, "virDomainGetLaunchSecurityInfo"),
    Write(399, FILTER, "virNWFilterBindingCreateXML"),
    Write(400, FILTER, "virNWFilterBindingDelete"),
    Write(402, DOMAIN, "virDomainSetIOThreadParams"),
    Write(406, NETWORK, "virNetworkPortCreateXML"),
    Write(408, NETWORK, "virNetworkPortSetParameters"),
    Write(410, NETWORK, "virNetworkPortDelete"),
    Write(411, CHECKPOINT, "virDomainCheckpointCreateXML"),
    Write(417, CHECKPOINT, "virDomainCheckpointDelete"),
    Write(418, DOMAIN, "virDomainGetGuestInfo"),
    Write(420, DOMAIN, "virDomainAgentSetResponseTimeout"),
    Write(421, DOMAIN, "virDomainBackupBegin"),
    Write(424, DOMAIN, "virDomainAuthorizedSSHKeysGet"),
    Write(425, DOMAIN, "virDomainAuthorizedSSHKeysSet"),
    Write(427, DOMAIN, "virDomainStartDirtyRateCalc"),
    Write(428, NODE_DEVICE, "virNodeDeviceDefineXML"),
    Write(429, NODE_DEVICE, "virNodeDeviceUndefine"),
    Write(430, NODE_DEVICE, "virNodeDeviceCreate"),
    Write(431, FILTER, "virNWFilterDefineXMLFlags"),
    Write(432, NETWORK, "virNetworkDefineXMLFlags"),
    Write(433, NODE_DEVICE, "virNodeDeviceGetAutostart"),
    Write(434, NODE_DEVICE, "virNodeDeviceSetAutostart"),
    Write(437, NETWORK, "virNetworkCreateXMLFlags"),
    Write(439, DOMAIN, "virDomainSetLaunchSecurityState"),
    Write(440, DOMAIN, "virDomainSaveParams"),
    Write(441, DOMAIN, "virDomainRestoreParams"),
    Write(442, DOMAIN, "virDomainAbortJobFlags"),
    Write(448, DOMAIN, "virDomainGraphicsReload"),
    Write(450, DOMAIN, "virDomainSetAutostartOnce"),
    Write(451, DOMAIN, "virDomainSetThrottleGroup"),
    Write(452, DOMAIN, "virDomainDelThrottleGroup"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_number() {
        assert!(WRITES.is_sorted_by_key(|write| write.0));
        assert_eq!(write(33).map(|write| write.2), Some("virDomainShutdown"));
        assert!(write(344).is_none() && write(-1).is_none());
    }
}

//! Without a driver a device says what is missing; with one it runs a kernel.

#[path = "../../testing/samples.rs"]
mod samples;

use nnc_cuda::{Device, DeviceError, HostBytes, Session};
use nnc_ir::graph::Port;
use nnc_ir::kernel::Scalar;
use nnc_ir::plan::{EntryPlan, Place, PlaceClass, PlaceId, Plan, Step};
use nnc_ir::{DType, Symbol};
use samples::s;

fn doubled() -> Plan {
    let place = |name: &str| Place {
        name: name.into(),
        dtype: DType::F32,
        shape: vec![s("N")],
        class: PlaceClass::Caller,
    };
    let port = |name: &str, id| (Port::Named(name.into()), PlaceId(id));
    let entry = EntryPlan {
        name: "main".into(),
        inputs: vec![port("x", 0)],
        outputs: vec![port("y", 1)],
        places: vec![place("x"), place("y")],
        steps: vec![Step::Launch { kernel: 0, bind: vec![PlaceId(0), PlaceId(0), PlaceId(1)] }],
        guards: Vec::new(),
        notes: Vec::new(),
    };
    let kernels = vec![samples::map(Scalar::Add, &[DType::F32, DType::F32])];
    Plan { kernels, entries: vec![entry], ..Plan::default() }
}

#[test]
fn a_device_runs_or_says_what_is_missing() {
    let device = match Device::open(0) {
        Ok(device) => device,
        Err(error) => {
            assert!(matches!(error, DeviceError::NoDriver | DeviceError::NoDevice | DeviceError::Driver(_)));
            println!("skipped: {error}");
            return;
        }
    };
    let mut session = Session::new(device, &doubled());
    let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
    let x = HostBytes { dtype: DType::F32, shape: vec![2], bytes: bytes.into() };
    let sizes = [(Symbol::new("N"), 2)].into_iter().collect();
    let found = session.call("main", &[("x", x)], &sizes).unwrap();
    let expected: Vec<u8> = [3.0f32, -4.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
    assert_eq!(found[0].1.bytes, expected);
}

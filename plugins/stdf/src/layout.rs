//! Which fields the records of STDF V4 have, as its specification lists them.

use crate::source::Kind;

/// What a field holds. The names are the specification's; a list has as many elements as the field with the given index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    U1,
    U2,
    U4,
    I1,
    I2,
    I4,
    R4,
    /// One character.
    C1,
    /// A text behind its length.
    Cn,
    /// Bytes behind their number.
    Bn,
    /// Bits behind their number.
    Dn,
    /// Values of any type, each behind its type.
    Vn,
    /// Lists.
    U1s(usize),
    U2s(usize),
    R4s(usize),
    Cns(usize),
    /// Half bytes, the low one first.
    N1s(usize),
}

/// A kind of record.
pub(crate) struct Layout {
    pub kind: Kind,
    pub name: &'static str,
    pub fields: &'static [(&'static str, Type)],
}

/// The layout of a kind of record, if it is one of STDF V4.
pub(crate) fn layout(kind: Kind) -> Option<&'static Layout> {
    LAYOUTS.binary_search_by_key(&kind, |layout| layout.kind).ok().and_then(|at| LAYOUTS.get(at))
}

use Type::*;

/// A table of records: the kind's numbers, its name, and its fields with their types.
macro_rules! layouts {
    ($($kind:tt $name:ident { $($field:ident: $of:expr),* })*) => {
        &[$(Layout { kind: $kind, name: stringify!($name), fields: &[$((stringify!($field), $of)),*] }),*]
    };
}

/// In the order of their numbers.
static LAYOUTS: &[Layout] = layouts! {
    (0, 10) FAR { CPU_TYPE: U1, STDF_VER: U1 }
    (0, 20) ATR { MOD_TIM: U4, CMD_LINE: Cn }
    (1, 10) MIR { SETUP_T: U4, START_T: U4, STAT_NUM: U1, MODE_COD: C1, RTST_COD: C1, PROT_COD: C1, BURN_TIM: U2, CMOD_COD: C1,
        LOT_ID: Cn, PART_TYP: Cn, NODE_NAM: Cn, TSTR_TYP: Cn, JOB_NAM: Cn, JOB_REV: Cn, SBLOT_ID: Cn, OPER_NAM: Cn, EXEC_TYP: Cn,
        EXEC_VER: Cn, TEST_COD: Cn, TST_TEMP: Cn, USER_TXT: Cn, AUX_FILE: Cn, PKG_TYP: Cn, FAMLY_ID: Cn, DATE_COD: Cn, FACIL_ID: Cn,
        FLOOR_ID: Cn, PROC_ID: Cn, OPER_FRQ: Cn, SPEC_NAM: Cn, SPEC_VER: Cn, FLOW_ID: Cn, SETUP_ID: Cn, DSGN_REV: Cn, ENG_ID: Cn,
        ROM_COD: Cn, SERL_NUM: Cn, SUPR_NAM: Cn }
    (1, 20) MRR { FINISH_T: U4, DISP_COD: C1, USR_DESC: Cn, EXC_DESC: Cn }
    (1, 30) PCR { HEAD_NUM: U1, SITE_NUM: U1, PART_CNT: U4, RTST_CNT: U4, ABRT_CNT: U4, GOOD_CNT: U4, FUNC_CNT: U4 }
    (1, 40) HBR { HEAD_NUM: U1, SITE_NUM: U1, HBIN_NUM: U2, HBIN_CNT: U4, HBIN_PF: C1, HBIN_NAM: Cn }
    (1, 50) SBR { HEAD_NUM: U1, SITE_NUM: U1, SBIN_NUM: U2, SBIN_CNT: U4, SBIN_PF: C1, SBIN_NAM: Cn }
    (1, 60) PMR { PMR_INDX: U2, CHAN_TYP: U2, CHAN_NAM: Cn, PHY_NAM: Cn, LOG_NAM: Cn, HEAD_NUM: U1, SITE_NUM: U1 }
    (1, 62) PGR { GRP_INDX: U2, GRP_NAM: Cn, INDX_CNT: U2, PMR_INDX: U2s(2) }
    (1, 63) PLR { GRP_CNT: U2, GRP_INDX: U2s(0), GRP_MODE: U2s(0), GRP_RADX: U1s(0), PGM_CHAR: Cns(0), RTN_CHAR: Cns(0), PGM_CHAL: Cns(0),
        RTN_CHAL: Cns(0) }
    (1, 70) RDR { NUM_BINS: U2, RTST_BIN: U2s(0) }
    (1, 80) SDR { HEAD_NUM: U1, SITE_GRP: U1, SITE_CNT: U1, SITE_NUM: U1s(2), HAND_TYP: Cn, HAND_ID: Cn, CARD_TYP: Cn, CARD_ID: Cn,
        LOAD_TYP: Cn, LOAD_ID: Cn, DIB_TYP: Cn, DIB_ID: Cn, CABL_TYP: Cn, CABL_ID: Cn, CONT_TYP: Cn, CONT_ID: Cn, LASR_TYP: Cn,
        LASR_ID: Cn, EXTR_TYP: Cn, EXTR_ID: Cn }
    (2, 10) WIR { HEAD_NUM: U1, SITE_GRP: U1, START_T: U4, WAFER_ID: Cn }
    (2, 20) WRR { HEAD_NUM: U1, SITE_GRP: U1, FINISH_T: U4, PART_CNT: U4, RTST_CNT: U4, ABRT_CNT: U4, GOOD_CNT: U4, FUNC_CNT: U4,
        WAFER_ID: Cn, FABWF_ID: Cn, FRAME_ID: Cn, MASK_ID: Cn, USR_DESC: Cn, EXC_DESC: Cn }
    (2, 30) WCR { WAFR_SIZ: R4, DIE_HT: R4, DIE_WID: R4, WF_UNITS: U1, WF_FLAT: C1, CENTER_X: I2, CENTER_Y: I2, POS_X: C1, POS_Y: C1 }
    (5, 10) PIR { HEAD_NUM: U1, SITE_NUM: U1 }
    (5, 20) PRR { HEAD_NUM: U1, SITE_NUM: U1, PART_FLG: U1, NUM_TEST: U2, HARD_BIN: U2, SOFT_BIN: U2, X_COORD: I2, Y_COORD: I2,
        TEST_T: U4, PART_ID: Cn, PART_TXT: Cn, PART_FIX: Bn }
    (10, 30) TSR { HEAD_NUM: U1, SITE_NUM: U1, TEST_TYP: C1, TEST_NUM: U4, EXEC_CNT: U4, FAIL_CNT: U4, ALRM_CNT: U4, TEST_NAM: Cn,
        SEQ_NAME: Cn, TEST_LBL: Cn, OPT_FLAG: U1, TEST_TIM: R4, TEST_MIN: R4, TEST_MAX: R4, TST_SUMS: R4, TST_SQRS: R4 }
    (15, 10) PTR { TEST_NUM: U4, HEAD_NUM: U1, SITE_NUM: U1, TEST_FLG: U1, PARM_FLG: U1, RESULT: R4, TEST_TXT: Cn, ALARM_ID: Cn,
        OPT_FLAG: U1, RES_SCAL: I1, LLM_SCAL: I1, HLM_SCAL: I1, LO_LIMIT: R4, HI_LIMIT: R4, UNITS: Cn, C_RESFMT: Cn, C_LLMFMT: Cn,
        C_HLMFMT: Cn, LO_SPEC: R4, HI_SPEC: R4 }
    (15, 15) MPR { TEST_NUM: U4, HEAD_NUM: U1, SITE_NUM: U1, TEST_FLG: U1, PARM_FLG: U1, RTN_ICNT: U2, RSLT_CNT: U2, RTN_STAT: N1s(5),
        RTN_RSLT: R4s(6), TEST_TXT: Cn, ALARM_ID: Cn, OPT_FLAG: U1, RES_SCAL: I1, LLM_SCAL: I1, HLM_SCAL: I1, LO_LIMIT: R4, HI_LIMIT: R4,
        START_IN: R4, INCR_IN: R4, RTN_INDX: U2s(5), UNITS: Cn, UNITS_IN: Cn, C_RESFMT: Cn, C_LLMFMT: Cn, C_HLMFMT: Cn, LO_SPEC: R4,
        HI_SPEC: R4 }
    (15, 20) FTR { TEST_NUM: U4, HEAD_NUM: U1, SITE_NUM: U1, TEST_FLG: U1, OPT_FLAG: U1, CYCL_CNT: U4, REL_VADR: U4, REPT_CNT: U4,
        NUM_FAIL: U4, XFAIL_AD: I4, YFAIL_AD: I4, VECT_OFF: I2, RTN_ICNT: U2, PGM_ICNT: U2, RTN_INDX: U2s(12), RTN_STAT: N1s(12),
        PGM_INDX: U2s(13), PGM_STAT: N1s(13), FAIL_PIN: Dn, VECT_NAM: Cn, TIME_SET: Cn, OP_CODE: Cn, TEST_TXT: Cn, ALARM_ID: Cn,
        PROG_TXT: Cn, RSLT_TXT: Cn, PATG_NUM: U1, SPIN_MAP: Dn }
    (20, 10) BPS { SEQ_NAME: Cn }
    (20, 20) EPS {}
    (50, 10) GDR { GEN_DATA: Vn }
    (50, 30) DTR { TEXT_DAT: Cn }
};
